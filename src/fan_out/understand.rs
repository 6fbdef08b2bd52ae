//! From a row as it was read to a typed event.

use crate::domain::event::{EventRow, InvalidEvent, Problem};
use crate::handlers::{EventType, Handler};

/// Understands a row, its payload still as text: PostgreSQL stores numbers and depths that no
/// double and no stack takes, and such an event must fail alone, not the statement that reads it.
pub(super) fn understand(
    event_type: EventType,
    mut row: EventRow,
    payload: Option<&str>,
) -> Result<Box<dyn Handler>, InvalidEvent> {
    row.payload = payload
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| InvalidEvent {
            event_type: event_type.name(),
            key: "payload".to_owned(),
            problem: Problem::Mistyped("JSON of double-precision numbers, at most 127 levels deep"),
        })?;
    event_type.parse(&row)
}
