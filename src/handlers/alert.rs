//! What holds off a second message of the same alert.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::announcement::{DedupKey, Severity};
use crate::domain::payload::Fields;
use crate::domain::text;

/// Longest part of a condition that is shown as JSON, in characters.
const NESTED_MAX: usize = 80;

/// One alert on the day of its event, in UTC.
pub(super) fn day(fields: Fields<'_>, alert_id: &str) -> DedupKey {
    let (event_type, day) = (fields.event_type(), fields.row.occurred_at.date_naive());
    DedupKey::Day(format!("{event_type}:{alert_id}:{day}"))
}

/// The same message because of the same condition, about the same person. Nothing to compare is
/// nothing to hold off.
pub(super) fn content(
    condition: Option<&Value>,
    message: Option<&str>,
    about: Option<Uuid>,
) -> Option<DedupKey> {
    if condition.is_none() && message.is_none() {
        return None;
    }
    // Within JSON none of them can pass for a part of another; the keys of objects are sorted.
    let content = json!([condition, message, about]).to_string();
    let hash = Sha256::digest(content.as_bytes());
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    Some(DedupKey::Content(digits.collect()))
}

/// A condition in words, `below 90, metric cpu`: what a payload gives names to, each by its name;
/// what is nested, as JSON.
pub(super) fn condition(condition: &Value) -> String {
    let Value::Object(parts) = condition else {
        return part(condition);
    };
    let parts = parts.iter().filter(|(_, value)| !value.is_null());
    let parts = parts.map(|(name, value)| format!("{} {}", name.replace('_', " "), part(value)));
    parts.collect::<Vec<_>>().join(", ")
}

fn part(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => text::clip(&value.to_string(), NESTED_MAX),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_told_in_words() {
        let words = |value: Value| condition(&value);
        insta::assert_snapshot!(words(json!({"metric": "spot_price", "below": 90, "for_minutes": 2.5})), @"below 90, for minutes 2.5, metric spot_price");
        insta::assert_snapshot!(words(json!({"any": true, "unit": null, "of": ["a", {"b": 1}]})), @r#"any true, of ["a",{"b":1}]"#);
        insta::assert_snapshot!(words(json!({"of": vec![7; 100]})), @"of [7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,…");
        insta::assert_snapshot!(words(json!([1, "a"])), @r#"[1,"a"]"#);
        assert_eq!(words(json!("cpu > 90")), "cpu > 90");
        assert_eq!(words(json!(90)), "90");
        assert_eq!(words(json!({})), "");
    }
}
