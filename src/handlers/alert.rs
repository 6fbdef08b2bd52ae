//! What holds off a second telling of the same alert.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::announcement::{Guard, Severity};
use crate::domain::payload::Fields;

/// One alert on the day of its event, in UTC.
pub(super) fn day(fields: Fields<'_>, alert_id: &str) -> Guard {
    let (event_type, day) = (fields.event_type(), fields.row.occurred_at.date_naive());
    Guard::Day(format!("{event_type}:{alert_id}:{day}"))
}

/// The same message because of the same condition, about the same person. Nothing to compare is
/// nothing to hold off.
pub(super) fn content(
    condition: Option<&Value>,
    message: Option<&str>,
    about: Option<Uuid>,
) -> Option<Guard> {
    if condition.is_none() && message.is_none() {
        return None;
    }
    // Within JSON none of them can pass for a part of another; the keys of objects are sorted.
    let content = json!([condition, message, about]).to_string();
    let hash = Sha256::digest(content.as_bytes());
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    Some(Guard::Content(digits.collect()))
}

/// The severity that an alert gives itself, in the words of the usual systems.
pub(super) fn severity(fields: Fields<'_>) -> Severity {
    let word = fields.text("severity").unwrap_or_default().trim();
    match word.to_ascii_lowercase().as_str() {
        "info" | "information" | "notice" | "low" => Severity::Info,
        "success" | "ok" | "resolved" => Severity::Success,
        "critical" | "high" | "error" | "fatal" | "emergency" | "severe" => Severity::Critical,
        _ => Severity::Warning,
    }
}
