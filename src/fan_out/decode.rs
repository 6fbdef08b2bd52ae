//! From a row as it was read to a typed event.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::domain::event::{EventRow, InvalidEvent, Problem};
use crate::handlers::{EventType, Handler};

/// A decoded event, as the run, the dry run and explain plan it.
#[derive(Debug)]
pub(super) struct DecodedEvent {
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    pub(super) occurred_at: DateTime<Utc>,
    /// 1 for the first.
    pub(super) attempt: u32,
    pub(super) handler: Result<Box<dyn Handler>, InvalidEvent>,
}

/// What a run does with a due event, as the claim decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(super) enum Disposition {
    Claimed,
    /// Completes without effect, because its type is ignored.
    Ignored,
    /// Fails: it is too old.
    Expired,
    /// Fails: its row in `domain_events` is gone, or hidden from this role.
    Gone,
    /// Waits: no handler knows its type.
    Unhandled,
}

/// An event as it was read, its payload still as text: PostgreSQL stores numbers and depths that no
/// double and no stack takes, and such an event must fail alone, not the statement that reads it. Of a
/// payload that is too large there is only the size.
pub(super) struct StoredEvent {
    pub(super) row: EventRow,
    pub(super) payload: Option<String>,
    pub(super) oversize: Option<i32>,
}

/// The event in a row of any statement that returns its columns among others.
macro_rules! stored_event {
    ($row:ident, $event_id:expr, $occurred_at:expr) => {
        $crate::fan_out::decode::StoredEvent {
            row: $crate::domain::event::EventRow {
                id: $event_id,
                event_type: $row.event_type,
                occurred_at: $occurred_at,
                actor_id: $row.actor_id,
                project_id: $row.project_id,
                org_id: $row.org_id,
                resource_id: $row.resource_id,
                thread_id: $row.thread_id,
                meeting_id: $row.meeting_id,
                payload: None,
            },
            payload: $row.payload,
            oversize: $row.oversize,
        }
    };
}
pub(super) use stored_event;

impl StoredEvent {
    pub(super) fn decode(self, event_type: EventType, attempt: u32) -> DecodedEvent {
        DecodedEvent {
            event_id: self.row.id,
            event_type,
            occurred_at: self.row.occurred_at,
            attempt,
            handler: self.handler(event_type),
        }
    }

    fn handler(mut self, event_type: EventType) -> Result<Box<dyn Handler>, InvalidEvent> {
        let invalid = |problem| InvalidEvent {
            event_type: event_type.name(),
            key: "payload".to_owned(),
            problem,
        };
        if let Some(bytes) = self.oversize {
            return Err(invalid(Problem::Oversized(bytes)));
        }
        let value = self.payload.as_deref().map(value).transpose();
        self.row.payload = value.map_err(|_| {
            invalid(Problem::Mistyped(
                "JSON of double-precision numbers, at most 127 levels deep",
            ))
        })?;
        event_type.decode(&self.row)
    }
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
