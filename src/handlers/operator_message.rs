//! The message of an operator event, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Names;
use super::draft::{self, Style};
use crate::domain::announcement::{Field, Severity};
use crate::domain::body::BodyFormat;
use crate::domain::text;

/// A message before it becomes a notification, an e-mail and a message to endpoints.
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
    /// Details for people.
    pub(super) fields: Vec<Field>,
    /// Details for programs.
    pub(super) data: Map<String, Value>,
}

impl OperatorMessage {
    /// The sentence, without its full stop, is the title and begins the body.
    pub(super) fn new(
        names: &Names,
        severity: Severity,
        data: Map<String, Value>,
        sentence: impl Fn(Style) -> String,
    ) -> Self {
        let format = names.body_format();
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
    pub(super) fn text(mut self, written: Option<&str>) -> Self {
        let written = text::clip(written.unwrap_or_default(), text::MESSAGE_MAX);
        let lines: Vec<_> = written.lines().map(text::plain).collect();
        lines.join("\n").trim().clone_into(&mut self.text);
        self
    }

    /// Adds a detail, if it is known.
    pub(super) fn with(mut self, name: &str, value: Option<impl ToString>) -> Self {
        let field = value.and_then(|value| Self::field(name, &value.to_string()));
        self.fields.extend(field);
        self
    }

    /// A detail, unless nothing of it is visible.
    pub(super) fn field(name: &str, value: &str) -> Option<Field> {
        let value = text::clip(&text::plain(value), text::PREVIEW_MAX);
        (!value.is_empty()).then(|| Field {
            name: name.to_owned(),
            value,
        })
    }

    /// All of it as a body, with the fields given.
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
