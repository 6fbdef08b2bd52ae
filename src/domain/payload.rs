//! Typed access to an event's columns and payload keys.
//!
//! Required keys come back as a value or as an [`InvalidEvent`] that names them. Optional ones
//! come back as `None` both when they are absent and when they are of the wrong kind: each has a
//! fallback, and a surprising extra must not stop a notification.

use std::collections::HashSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::{EventRow, InvalidEvent, Problem};
use super::quantity::{Amount, Quantity};
use super::text::is_blank;

/// Largest payload, in bytes.
pub const PAYLOAD_MAX: i32 = 1 << 20;
/// Longest list of identifiers.
const IDS_MAX: usize = 10_000;
/// Longest identifier that is no UUID, in bytes: it may be part of an indexed key.
const ID_MAX: usize = 255;
/// As much of a text as is read, in bytes; of an object, as much as is copied into rows.
const TEXT_MAX: usize = 40_000;
const OBJECT_MAX: usize = 4 << 10;

/// The fields of one event, read under the name of its type.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The row as it was read.
    pub row: &'a EventRow,
    event_type: &'static str,
}

impl<'a> Fields<'a> {
    /// Reads `row` as an event of the type named.
    #[must_use]
    pub fn new(row: &'a EventRow, event_type: &'static str) -> Self {
        Self { row, event_type }
    }

    /// The type's name.
    #[must_use]
    pub fn event_type(&self) -> &'static str {
        self.event_type
    }

    /// The value of a payload key; JSON `null` counts as absent.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.row
            .payload
            .as_ref()?
            .get(key)
            .filter(|value| !value.is_null())
    }

    /// An optional identifier.
    #[must_use]
    pub fn uuid(&self, key: &str) -> Option<Uuid> {
        self.value(key).and_then(as_uuid)
    }

    /// An optional text that is not blank.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(as_text)
    }

    /// The first of several optional texts that is present and not blank.
    #[must_use]
    pub fn first_text(&self, keys: &[&str]) -> Option<&'a str> {
        keys.iter().find_map(|key| self.text(key))
    }

    /// An optional whole number.
    #[must_use]
    pub fn integer(&self, key: &str) -> Option<i64> {
        self.value(key).and_then(Value::as_i64)
    }

    /// An optional number, which may be written as a text.
    #[must_use]
    pub fn quantity(&self, key: &str) -> Option<Quantity> {
        self.value(key).and_then(Quantity::read)
    }

    /// An optional sum of money, in the payload's `currency` if it names none itself.
    #[must_use]
    pub fn amount(&self, key: &str) -> Option<Amount> {
        self.value(key)
            .and_then(|value| Amount::read(value, self.text("currency")))
    }

    /// An optional text that is not blank, or a number.
    #[must_use]
    pub fn scalar(&self, key: &str) -> Option<Value> {
        let value = self.value(key)?;
        let number = value.is_number().then(|| value.clone());
        number.or_else(|| as_text(value).map(Value::from))
    }

    /// An optional identifier of any kind: a short text or a whole number.
    #[must_use]
    pub fn id(&self, key: &str) -> Option<String> {
        self.value(key).and_then(as_id)
    }

    /// An optional truth value; absent and mistyped are `false`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.value(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An optional value of any kind for which there is room in a row.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&'a Value> {
        let has_room = |value: &&Value| value.to_string().len() <= OBJECT_MAX;
        self.value(key).filter(has_room)
    }

    /// An optional object, without the entries for which there is no room in a row.
    #[must_use]
    pub fn object(&self, key: &str) -> Option<Map<String, Value>> {
        let object = self.value(key).and_then(Value::as_object)?;
        let mut left = OBJECT_MAX;
        let fits = |(key, value): &(&String, &Value)| {
            let rest = left.checked_sub(key.len() + value.to_string().len());
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let entries = object.iter().filter(fits);
        Some(
            entries
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    }

    /// The identifiers of an optional list, in order, without repeats; entries of another kind
    /// are passed over.
    pub fn uuids(&self, key: &str) -> Result<Vec<Uuid>, InvalidEvent> {
        let Some(entries) = self.value(key).and_then(Value::as_array) else {
            return Ok(Vec::new());
        };
        if entries.len() > IDS_MAX {
            return Err(self.invalid(format!("payload.{key}"), Problem::TooMany(IDS_MAX)));
        }
        let mut seen = HashSet::new();
        let ids = entries.iter().filter_map(as_uuid);
        Ok(ids.filter(|id| seen.insert(*id)).collect())
    }

    /// A required identifier from the payload.
    pub fn required_uuid(&self, key: &str) -> Result<Uuid, InvalidEvent> {
        self.required(key, "a UUID", as_uuid)
    }

    /// A required text from the payload that is not blank.
    pub fn required_text(&self, key: &str) -> Result<&'a str, InvalidEvent> {
        self.required(key, "a text", as_text)
    }

    /// A required identifier of any kind from the payload: a short text or a whole number.
    pub fn required_id(&self, key: &str) -> Result<String, InvalidEvent> {
        self.required(key, "a short text or a whole number", as_id)
    }

    /// A required number from the payload, which may be written as a text.
    pub fn required_quantity(&self, key: &str) -> Result<Quantity, InvalidEvent> {
        self.required(key, "a number", Quantity::read)
    }

    /// A required sum of money from the payload, see [`Fields::amount`].
    pub fn required_amount(&self, key: &str) -> Result<Amount, InvalidEvent> {
        self.required(key, "an amount", |value| {
            Amount::read(value, self.text("currency"))
        })
    }

    /// An optional key that nobody may guess at: of the wrong kind, it fails the event like a
    /// required one.
    pub fn strict<T>(
        &self,
        key: &str,
        kind: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, InvalidEvent> {
        let given = self.value(key);
        given.map(|_| self.required(key, kind, read)).transpose()
    }

    /// An optional identifier that nobody may guess at, see [`Fields::strict`].
    pub fn strict_uuid(&self, key: &str) -> Result<Option<Uuid>, InvalidEvent> {
        self.strict(key, "a UUID", as_uuid)
    }

    /// A required key from the payload, read by `read`; `kind` completes "must be …".
    pub fn required<T>(
        &self,
        key: &str,
        kind: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, InvalidEvent> {
        let value = self
            .value(key)
            .ok_or_else(|| self.invalid(format!("payload.{key}"), Problem::Missing))?;
        read(value).ok_or_else(|| self.invalid(format!("payload.{key}"), Problem::Mistyped(kind)))
    }

    /// A required column.
    pub fn column(&self, name: &str, value: Option<Uuid>) -> Result<Uuid, InvalidEvent> {
        value.ok_or_else(|| self.invalid(name.to_owned(), Problem::Missing))
    }

    /// A required column, or else the payload key that stands for it.
    pub fn column_or_key(
        &self,
        name: &str,
        value: Option<Uuid>,
        key: &str,
    ) -> Result<Uuid, InvalidEvent> {
        match value {
            Some(value) => Ok(value),
            None if self.value(key).is_some() => self.required_uuid(key),
            None => Err(self.invalid(format!("{name} or payload.{key}"), Problem::Missing)),
        }
    }

    fn invalid(&self, key: String, problem: Problem) -> InvalidEvent {
        InvalidEvent {
            event_type: self.event_type,
            key,
            problem,
        }
    }
}

fn as_uuid(value: &Value) -> Option<Uuid> {
    Uuid::parse_str(value.as_str()?).ok()
}

fn as_text(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    let text = &text[..text.floor_char_boundary(TEXT_MAX)];
    (!is_blank(text)).then_some(text)
}

fn as_id(value: &Value) -> Option<String> {
    let id = match value {
        Value::Number(number) if !number.is_f64() => number.to_string(),
        Value::String(text) if !is_blank(text) => text.trim().to_owned(),
        _ => return None,
    };
    (id.len() <= ID_MAX).then_some(id)
}
