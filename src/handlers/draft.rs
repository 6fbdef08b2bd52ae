//! One act as every channel tells it: who, what and where, in one sentence.

use serde_json::{Map, Value};

use super::entity::NamedEntity;
use crate::domain::body::BodyFormat;
use crate::domain::plan::{Email, EmailTiming, InApp, Notification};
use crate::domain::text;

/// A JSON object, on top of another one if it starts with `..base`.
macro_rules! object {
    ($(..$base:expr,)? $($key:literal: $value:expr),* $(,)?) => {{
        let object: serde_json::Map<String, serde_json::Value> =
            [$(($key.to_owned(), serde_json::json!($value))),*].into_iter().collect();
        $(let object = { let mut base = $base; base.extend(object); base };)?
        object
    }};
}
pub(super) use object;

/// How names stand in a sentence.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// As plain words, each cut to so many characters.
    Plain(usize),
    /// Bold, in a body.
    Body(BodyFormat),
}

impl Style {
    /// A name or another word that came from people.
    pub(super) fn name(self, words: &str) -> String {
        match self {
            Self::Plain(max) => text::clip(&text::plain(words), max),
            Self::Body(format) => format.bold(words),
        }
    }

    /// A thing and, where it is known, the project it is in.
    pub(super) fn place(self, thing: NamedEntity<'_>, project: NamedEntity<'_>) -> String {
        let thing = self.name(thing.words);
        match project.name {
            Some(project) => format!("{thing} · {}", self.name(project)),
            None => thing,
        }
    }
}

/// A title of at most `max` characters. Long names are shortened before the sentence is, so that
/// none pushes out what follows it.
pub(super) fn title(max: usize, sentence: impl Fn(Style) -> String) -> String {
    [text::TITLE_MAX, 60, 40, 30, 24]
        .into_iter()
        .map(|name_max| sentence(Style::Plain(name_max)))
        .find(|title| title.chars().count() <= max)
        .unwrap_or_else(|| text::clip(&sentence(Style::Plain(24)), max))
}

/// "1 message", "2 messages".
pub(super) fn counted(count: i64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The words and data that a notification and a mail have in common.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    title: String,
    body: String,
    link_url: String,
    data: Map<String, Value>,
}

impl Draft {
    /// The sentence, without its full stop, is the title and begins the body.
    pub(super) fn new(
        format: BodyFormat,
        link_url: String,
        data: Map<String, Value>,
        sentence: impl Fn(Style) -> String,
    ) -> Self {
        let body = format!("{}.", sentence(Style::Body(format)));
        let title = title(text::TITLE_MAX, sentence);
        Self {
            title,
            body,
            link_url,
            data,
        }
    }

    /// The title and body that are given.
    pub(super) fn planned(
        link_url: String,
        data: Map<String, Value>,
        title: String,
        body: String,
    ) -> Self {
        Self {
            title,
            body,
            link_url,
            data,
        }
    }

    /// Adds a sentence to the body.
    pub(super) fn and(mut self, sentence: Option<String>) -> Self {
        if let Some(sentence) = sentence {
            self.body.push(' ');
            self.body.push_str(&sentence);
        }
        self
    }

    /// Another body.
    pub(super) fn with_body(self, body: String) -> Self {
        Self { body, ..self }
    }

    /// As a notification of its own.
    pub(super) fn in_app(&self) -> InApp {
        let Self {
            title,
            body,
            link_url,
            data,
        } = self.clone();
        InApp::Each(Notification {
            title,
            body: Some(body),
            link_url: Some(link_url),
            payload: data,
        })
    }

    /// As a mail, which a digest groups under the project.
    pub(super) fn email(&self, timing: EmailTiming, project: NamedEntity<'_>) -> Email {
        Email {
            timing,
            subject: self.title.clone(),
            body_data: object! { ..self.data.clone(), "link_url": self.link_url },
            project_id: project.id,
            project_name: project.name.map(str::to_owned),
        }
    }
}
