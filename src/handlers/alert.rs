//! What alerts have in common: conditions, severities, and the key that suppresses the same content.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::announcement::{DedupKey, Severity};
use crate::domain::text;

/// Longest part of a condition that is shown as JSON, in characters.
const NESTED_MAX: usize = 80;

/// The same message because of the same condition, about the same person. `None` where there is
/// nothing to compare.
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
    Some(DedupKey::Content(hex::encode(hash)))
}

/// A condition for people, `below 90, metric cpu`: each part behind its name, and nested parts as
/// JSON.
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

/// The severity of an alert, by the names of the usual systems; else a warning.
pub(super) fn severity(given: Option<&str>) -> Severity {
    let name = given.unwrap_or_default().trim();
    match name.to_ascii_lowercase().as_str() {
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
    fn conditions_for_people() {
        for (value, expected) in [
            (
                json!({"metric": "spot_price", "below": 90, "for_minutes": 2.5}),
                "below 90, for minutes 2.5, metric spot_price",
            ),
            (
                json!({"any": true, "unit": null, "of": ["a", {"b": 1}]}),
                r#"any true, of ["a",{"b":1}]"#,
            ),
            (json!([1, "a"]), r#"[1,"a"]"#),
            (json!("cpu > 90"), "cpu > 90"),
            (json!(90), "90"),
            (json!({}), ""),
        ] {
            assert_eq!(condition(&value), expected);
        }
        let long = condition(&json!({"of": vec![7; 100]}));
        assert_eq!(long.chars().count(), "of ".len() + NESTED_MAX);
    }

    #[test]
    fn the_same_content_has_the_same_key() {
        let key = |condition: Value, message, about| content(Some(&condition), message, about);
        let one = key(json!({"a": 1, "b": [2]}), Some("Hot"), None);
        assert_eq!(key(json!({"b": [2], "a": 1}), Some("Hot"), None), one);
        for other in [
            key(json!({"a": 1, "b": [2]}), Some("Cold"), None),
            key(json!({"a": 1, "b": [3]}), Some("Hot"), None),
            key(json!({"a": 1, "b": [2]}), None, None),
            key(json!({"a": 1, "b": [2]}), Some("Hot"), Some(Uuid::nil())),
            content(None, Some("Hot"), None),
        ] {
            assert!(other.is_some() && other != one, "{other:?}");
        }
        assert_eq!(content(None, None, Some(Uuid::nil())), None);
    }
}
