//! What there is to say of an event of operations or billing, for people and programs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::draft::{self, Style};
use crate::domain::announcement::{Field, Severity};
use crate::domain::body::BodyFormat;
use crate::domain::text;

/// The words of an event, before they take the form of a notification, a mail or a message.
#[derive(Debug, Clone)]
pub(super) struct OperatorMessage {
    pub(super) severity: Severity,
    /// One line of plain text.
    pub(super) title: String,
    /// The same as it begins a body.
    sentence: String,
    format: BodyFormat,
    /// What somebody wrote about it, as plain text.
    pub(super) text: String,
    /// The particulars.
    pub(super) fields: Vec<Field>,
    /// The same, typed.
    pub(super) data: Map<String, Value>,
}

impl OperatorMessage {
    /// The sentence, without its full stop, is the title and begins the body.
    pub(super) fn new(
        format: BodyFormat,
        severity: Severity,
        data: Map<String, Value>,
        sentence: impl Fn(Style) -> String,
    ) -> Self {
        Self {
            severity,
            format,
            sentence: format!("{}.", sentence(Style::Body(format))),
            title: draft::title(text::TITLE_MAX, sentence),
            text: String::new(),
            fields: Vec::new(),
            data,
        }
    }

    /// Adds what somebody wrote about it.
    pub(super) fn saying(mut self, words: Option<&str>) -> Self {
        let words = text::clip(words.unwrap_or_default(), text::MESSAGE_MAX);
        let lines: Vec<_> = words.lines().map(text::plain).collect();
        lines.join("\n").trim().clone_into(&mut self.text);
        self
    }

    /// Adds a particular, if it is known.
    pub(super) fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let field = value.and_then(|value| Self::field(name, value));
        self.fields.extend(field);
        self
    }

    /// Adds a particular that may be a text or a number, if it is known.
    pub(super) fn with_scalar(self, name: &str, value: Option<&Value>) -> Self {
        match value {
            Some(Value::String(text)) => self.with(name, Some(text)),
            Some(other) => self.with(name, Some(&other.to_string())),
            None => self,
        }
    }

    /// A particular, unless nothing of it can be seen.
    pub(super) fn field(name: &str, value: &str) -> Option<Field> {
        let value = text::clip(&text::plain(value), text::PREVIEW_MAX);
        (!value.is_empty()).then(|| Field {
            name: name.to_owned(),
            value,
        })
    }

    /// All of it as a body, with the particulars given.
    pub(super) fn body(&self, fields: &[Field]) -> String {
        let mut body = self.sentence.clone();
        if !self.text.is_empty() {
            body.push_str("\n\n");
            body.push_str(&self.format.message(&self.text));
        }
        let mut between = "\n\n";
        for Field { name, value } in fields {
            let _ = write!(body, "{between}{name}: {}", self.format.line(value));
            between = self.format.line_break();
        }
        body
    }
}
