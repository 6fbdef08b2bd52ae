//! Typed access to an event's columns and payload keys.
//!
//! A required key comes back as a value or as an [`InvalidEvent`] that names it. An optional one
//! comes back as `None` both when it is absent and when it has another type: each has a fallback,
//! and a surprising extra must not stop a notification.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::event::{EventRow, InvalidEvent, Problem};
use super::text::is_blank;

/// Largest payload, in bytes.
pub const PAYLOAD_MAX: i32 = 1 << 20;
/// Longest list of identifiers.
const IDS_MAX: usize = 10_000;
/// Longest identifier that is not a UUID, in bytes: it may be part of an indexed key.
const ID_MAX: usize = 255;
/// As much of a text as is read, in bytes; of an object, as much as is copied into rows.
const TEXT_MAX: usize = 40_000;
const OBJECT_MAX: usize = 4 << 10;

/// A type that a payload key can have.
pub trait FromPayload: Sized {
    /// Completes "must be …".
    const TYPE: &'static str;

    /// The value, unless it has another type.
    fn read(value: &Value, fields: Fields<'_>) -> Option<Self>;
}

/// The fields of one event, read under the name of its type.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    pub row: &'a EventRow,
    pub event_type: &'static str,
}

impl<'a> Fields<'a> {
    /// The value of a payload key; JSON `null` counts as absent.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        #[cfg(test)]
        reads::record(key);
        let value = self.row.payload.as_ref()?.get(key)?;
        (!value.is_null()).then_some(value)
    }

    pub fn optional<T: FromPayload>(self, key: &str) -> Option<T> {
        T::read(self.value(key)?, self)
    }

    /// The first of several optional texts that is present and not blank.
    pub fn first_text(self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| self.optional(key))
    }

    pub fn required<T: FromPayload>(self, key: &str) -> Result<T, InvalidEvent> {
        let invalid = |problem| self.invalid(format!("payload.{key}"), problem);
        let value = self.value(key).ok_or_else(|| invalid(Problem::Missing))?;
        T::read(value, self).ok_or_else(|| invalid(Problem::Mistyped(T::TYPE)))
    }

    /// An optional key that nobody may guess at: of another type, it fails the event.
    pub fn strict<T: FromPayload>(self, key: &str) -> Result<Option<T>, InvalidEvent> {
        let given = self.value(key);
        given.map(|_| self.required(key)).transpose()
    }

    /// The identifiers of an optional list, in order, without repeats and whatever else it holds.
    pub fn uuids(self, key: &str) -> Result<Vec<Uuid>, InvalidEvent> {
        let entries = self.value(key).and_then(Value::as_array);
        let entries = entries.map_or(&[][..], Vec::as_slice);
        if entries.len() > IDS_MAX {
            return Err(self.invalid(format!("payload.{key}"), Problem::TooMany(IDS_MAX)));
        }
        let mut seen = HashSet::new();
        let ids = entries.iter().filter_map(|entry| Uuid::read(entry, self));
        Ok(ids.filter(|id| seen.insert(*id)).collect())
    }

    /// A required column.
    pub fn column(self, name: &str, value: Option<Uuid>) -> Result<Uuid, InvalidEvent> {
        value.ok_or_else(|| self.invalid(name.to_owned(), Problem::Missing))
    }

    /// A required column, or else the payload key that stands for it.
    pub fn column_or_key(
        self,
        name: &str,
        value: Option<Uuid>,
        key: &str,
    ) -> Result<Uuid, InvalidEvent> {
        match value {
            Some(value) => Ok(value),
            None if self.value(key).is_some() => self.required(key),
            None => Err(self.invalid(format!("{name} or payload.{key}"), Problem::Missing)),
        }
    }

    fn invalid(self, key: String, problem: Problem) -> InvalidEvent {
        InvalidEvent {
            event_type: self.event_type,
            key,
            problem,
        }
    }
}

/// An identifier of any kind: a short text or a whole number.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Id(pub String);

/// A text that is not blank, or a number.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Scalar(pub Value);

/// A value of any type for which there is room in a row.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Any(pub Value);

impl FromPayload for Uuid {
    const TYPE: &'static str = "a UUID";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        Self::parse_str(value.as_str()?).ok()
    }
}

/// Never blank.
impl FromPayload for String {
    const TYPE: &'static str = "a text";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let text = value.as_str()?;
        let text = &text[..text.floor_char_boundary(TEXT_MAX)];
        (!is_blank(text)).then(|| text.to_owned())
    }
}

impl FromPayload for i64 {
    const TYPE: &'static str = "a whole number";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        value.as_i64()
    }
}

impl FromPayload for bool {
    const TYPE: &'static str = "true or false";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        value.as_bool()
    }
}

impl FromPayload for Id {
    const TYPE: &'static str = "a short text or a whole number";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let id = match value {
            Value::Number(number) if !number.is_f64() => number.to_string(),
            Value::String(text) if !is_blank(text) => text.trim().to_owned(),
            _ => return None,
        };
        (id.len() <= ID_MAX).then_some(Self(id))
    }
}

impl FromPayload for Scalar {
    const TYPE: &'static str = "a text or a number";

    fn read(value: &Value, fields: Fields<'_>) -> Option<Self> {
        let number = value.is_number().then(|| value.clone());
        let scalar = number.or_else(|| String::read(value, fields).map(Value::from));
        scalar.map(Self)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(text),
            other => write!(f, "{other}"),
        }
    }
}

impl FromPayload for Any {
    const TYPE: &'static str = "a value of at most 4 kB";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        (value.to_string().len() <= OBJECT_MAX).then(|| Self(value.clone()))
    }
}

/// Without the entries for which there is no room in a row.
impl FromPayload for Map<String, Value> {
    const TYPE: &'static str = "an object";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let mut room = OBJECT_MAX;
        let fits = |(key, value): &(&String, &Value)| {
            let rest = room.checked_sub(key.len() + value.to_string().len());
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        let entries = value.as_object()?.iter().filter(fits);
        let entries = entries.map(|(key, value)| (key.clone(), value.clone()));
        Some(entries.collect())
    }
}

/// Which keys a type reads, so that tests and the docs need no list of them.
#[cfg(test)]
pub(crate) mod reads {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static KEYS: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn record(key: &str) {
        KEYS.with_borrow_mut(|keys| keys.insert(key.to_owned()));
    }

    /// The keys read since the last call.
    pub(crate) fn take() -> BTreeSet<String> {
        KEYS.take()
    }
}
