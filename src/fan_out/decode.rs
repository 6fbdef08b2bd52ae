//! From a row as it was read to a typed event.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::event::{EventRow, InvalidEvent, Problem};
use crate::handlers::{EventType, Handler};

/// Decodes a row, its payload still as text: PostgreSQL stores numbers and depths that no double and
/// no stack takes, and such an event must fail alone, not the statement that reads it. Of a payload
/// that is too large there is only the size.
pub(super) fn decode(
    event_type: EventType,
    mut row: EventRow,
    payload: Option<&str>,
    oversize: Option<i32>,
) -> Result<Box<dyn Handler>, InvalidEvent> {
    let invalid = |problem| InvalidEvent {
        event_type: event_type.name(),
        key: "payload".to_owned(),
        problem,
    };
    if let Some(bytes) = oversize {
        return Err(invalid(Problem::Oversized(bytes)));
    }
    let value = payload.map(value).transpose();
    row.payload = value.map_err(|_| {
        invalid(Problem::Mistyped(
            "JSON of double-precision numbers, at most 127 levels deep",
        ))
    })?;
    event_type.decode(&row)
}

fn value(payload: &str) -> serde_json::Result<Value> {
    serde_json::from_str(payload).or_else(|error| key_by_key(payload).ok_or(error))
}

/// What can't be represented matters only under a key that somebody reads: there it is of the wrong
/// kind, as an array is everywhere but where identifiers are listed.
fn key_by_key(payload: &str) -> Option<Value> {
    let keys: BTreeMap<String, &RawValue> = serde_json::from_str(payload).ok()?;
    let values = keys.into_iter().map(|(key, value)| {
        let value = serde_json::from_str(value.get());
        (key, value.unwrap_or_else(|_| Value::Array(Vec::new())))
    });
    Some(Value::Object(values.collect()))
}
