//! A domain event as it stands in `domain_events`, before its payload is decoded.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::payload::PAYLOAD_MAX;

/// One row of `domain_events`. Columns that the event's type has no use for are empty.
#[derive(Debug, Clone, Default)]
pub struct EventRow {
    pub id: i64,
    /// The type's name, as the application wrote it; it may be one without a handler.
    pub event_type: String,
    /// When it occurred; if that is unknown, when it was claimed.
    pub occurred_at: DateTime<Utc>,
    /// Who caused it; the actor is not notified.
    pub actor_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub org_id: Option<Uuid>,
    pub resource_id: Option<Uuid>,
    pub thread_id: Option<Uuid>,
    pub meeting_id: Option<Uuid>,
    /// Whatever else the application wrote; not always an object.
    pub payload: Option<Value>,
}

/// Why an event can never be planned: a required key is absent or has another type.
///
/// The text reaches `notification_processing.error_message`, so it names the type and the key
/// and never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {event_type} event: {key} {problem}")]
pub struct InvalidEvent {
    pub event_type: &'static str,
    /// The column, or the payload key written `payload.key`.
    pub key: String,
    pub problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither the column nor the payload has it.
    #[error("is required")]
    Missing,
    /// It has another type than the one named.
    #[error("must be {0}")]
    Mistyped(&'static str),
    /// Its size in bytes, as text or as stored.
    #[error("must have at most {PAYLOAD_MAX} bytes, and has {0} or more")]
    Oversized(i32),
    /// A list has more entries than that.
    #[error("must have at most {0} entries")]
    TooMany(usize),
}
