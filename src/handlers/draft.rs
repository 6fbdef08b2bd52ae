//! The title and body that a notification and an e-mail have in common: who, what and where, in one
//! sentence.

use serde_json::{Map, Value};

use super::Names;
use super::entity::NamedEntity;
use crate::domain::body::BodyFormat;
use crate::domain::plan::{
    Audience, Email, EmailTiming, InApp, Notification, Plan, PreferenceScopes,
};
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
    /// As plain text, each truncated to so many characters.
    Plain(usize),
    /// Bold, in a body.
    Body(BodyFormat),
}

impl Style {
    /// A name or another text that people wrote.
    pub(super) fn name(self, name: impl AsRef<str>) -> String {
        match self {
            Self::Plain(max) => text::clip(&text::plain(name.as_ref()), max),
            Self::Body(format) => format.bold(name.as_ref()),
        }
    }

    /// A thing and, where it is known, the project it is in.
    pub(super) fn place(self, thing: NamedEntity<'_>, project: NamedEntity<'_>) -> String {
        let thing = self.name(thing.label);
        match project.name {
            Some(project) => format!("{thing} · {}", self.name(project)),
            None => thing,
        }
    }
}

/// A title of at most `max` characters. Long names are truncated before the sentence is, so that
/// none displaces what follows it.
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

/// A message that becomes a notification, an e-mail or both.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) title: String,
    pub(super) body: String,
    pub(super) link_url: String,
    pub(super) data: Map<String, Value>,
}

impl Draft {
    /// The sentence, without its full stop, is the title and begins the body.
    pub(super) fn new(
        names: &Names,
        link_url: String,
        data: Map<String, Value>,
        sentence: impl Fn(Style) -> String,
    ) -> Self {
        Self {
            body: format!("{}.", sentence(Style::Body(names.body_format()))),
            title: title(text::TITLE_MAX, sentence),
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

    /// As a notification of its own.
    pub(super) fn in_app(&self) -> InApp {
        let draft = self.clone();
        InApp::Each(Notification {
            title: draft.title,
            body: Some(draft.body),
            link_url: Some(draft.link_url),
            payload: draft.data,
        })
    }

    /// Notifies an audience in the application only.
    pub(super) fn plan(&self, audience: Audience, scopes: PreferenceScopes) -> Plan {
        Plan {
            in_app: self.in_app(),
            ..Plan::new(audience, scopes)
        }
    }

    /// As an e-mail, which a digest groups under the project.
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
