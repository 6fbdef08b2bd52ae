//! Sanitizes what people wrote for e-mails: one line each, of limited length, and never a link.

use minijinja::value::Value as Argument;
use serde_json::{Map, Value};

use crate::domain::text;

/// Longest text within an e-mail's data, in characters. Names are truncated to [`text::NAME_MAX`] where
/// they stand.
const TEXT_MAX: usize = 500;
/// Has no width, and is no part of an address.
const JOINER: char = '\u{2060}';

/// One line that mail programs don't turn into a link. (Escaping for HTML is the templates'.)
pub(super) fn line(text: &str) -> String {
    unlinked(&text::clip(&text::plain(text), TEXT_MAX))
}

/// Every text in an e-mail's data.
pub(super) fn data(value: &Value) -> Value {
    match value {
        Value::String(string) => Value::String(line(string)),
        Value::Array(entries) => entries.iter().map(data).collect(),
        Value::Object(pairs) => pairs
            .iter()
            .map(|(key, value)| (key.clone(), data(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The filter `name`: truncates a name, so that none displaces what follows it.
#[expect(clippy::needless_pass_by_value, reason = "filters are called so")]
pub(super) fn name(value: Argument) -> String {
    let name = value.as_str();
    let name = name.map_or_else(|| value.to_string(), str::to_owned);
    text::clip(&name, text::NAME_MAX)
}

/// The filter `severity`: its name, with a sign where it needs one.
#[expect(clippy::needless_pass_by_value, reason = "filters are called so")]
pub(super) fn severity(value: Argument) -> String {
    match value.as_str().unwrap_or_default() {
        "critical" => "🚨 Critical".to_owned(),
        "warning" => "⚠️ Warning".to_owned(),
        "success" => "✅ Success".to_owned(),
        "info" => "Info".to_owned(),
        other => name(Argument::from(other)),
    }
}

/// An e-mail's subject: one line, whatever was in it.
pub(super) fn subject(rendered: &str) -> String {
    text::title(&rendered.replace(JOINER, ""))
}

/// A type's name for people: "Invoice paid".
pub(super) fn of_type(event_type: &str) -> String {
    let name = text::plain(&event_type.replace(['_', '.', '-'], " "));
    let mut letters = name.chars();
    letters.next().map_or_else(
        || "News for you".to_owned(),
        |first| first.to_uppercase().chain(letters).collect(),
    )
}

/// E-mail programs make links of what looks like an address: `scheme://`, `www.` and `evil.example`.
fn unlinked(text: &str) -> String {
    let mut unlinked = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        let is_www = || {
            let start = at.checked_sub(3).and_then(|start| before.get(start..));
            start.is_some_and(|start| start.eq_ignore_ascii_case("www"))
        };
        let is_domain = || {
            let word = before.rsplit(char::is_whitespace).next();
            before.ends_with(char::is_alphanumeric)
                && after.starts_with(char::is_alphabetic)
                // An e-mail address is to be copied.
                && !word.is_some_and(|word| word.contains('@'))
        };
        if c == '.' && (is_www() || is_domain()) || c == '/' && before.ends_with(':') {
            unlinked.push(JOINER);
        }
        unlinked.push(c);
    }
    unlinked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_people_write_is_never_a_link() {
        for (text, visible) in [
            ("https://evil.example", "https:|//evil|.example"),
            ("WWW.evil.example a/b www", "WWW|.evil|.example a/b www"),
            (
                "evil.example/now, 1.5 GB. Bye… v2.1 e.g.",
                "evil|.example/now, 1.5 GB. Bye… v2.1 e|.g.",
            ),
            (
                "münchen.de (a.b@example.com)",
                "münchen|.de (a|.b@example.com)",
            ),
            ("a\r\nBcc: me\u{202e}\u{0}", "a Bcc: me"),
        ] {
            assert_eq!(line(text).replace(JOINER, "|"), visible);
        }
    }

    #[test]
    fn data_keeps_its_shape() {
        let given = json!({"a": ["x\ny", 1, null, {"b": "https://c"}], "d": true});
        let expected = json!({"a": ["x y", 1, null, {"b": "https:\u{2060}//c"}], "d": true});
        assert_eq!(data(&given), expected);
    }

    proptest! {
        #[test]
        fn a_subject_is_one_short_line(text in any::<String>()) {
            let subject = subject(&text);
            prop_assert!(subject.chars().count() <= text::TITLE_MAX);
            prop_assert!(!subject.contains(|c: char| c.is_control() || c == JOINER));
        }

        #[test]
        fn lines_have_no_scheme(text in r"(https?://|www\.|[ -~]|\PC|\n){0,40}") {
            let line = line(&text);
            prop_assert!(!line.contains("://") && !line.contains(char::is_control));
            prop_assert!(!line.to_ascii_lowercase().contains("www."));
        }
    }
}
