//! The names that messages need, looked up once for a whole batch.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Rendering;
use super::links::Links;
use crate::domain::body::BodyFormat;
use crate::domain::text::is_blank;

/// The rows whose names a batch needs. Ordered, so that the same batch asks the same question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Rows of `profiles`.
    pub people: BTreeSet<Uuid>,
    /// Rows of `projects`.
    pub projects: BTreeSet<Uuid>,
    /// Rows of `orgs`.
    pub orgs: BTreeSet<Uuid>,
    /// Rows of `resources`.
    pub resources: BTreeSet<Uuid>,
    /// Rows of `chat_threads`.
    pub threads: BTreeSet<Uuid>,
    /// Rows of `meetings`.
    pub meetings: BTreeSet<Uuid>,
}

/// What messages need of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// `full_name`, if set.
    pub full_name: Option<String>,
    /// E-mail address, if set.
    pub email: Option<String>,
}

/// The names that were found, and how to render them. A row that is gone has none.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// By `profiles.id`.
    pub people: HashMap<Uuid, Profile>,
    /// By `projects.id`.
    pub projects: HashMap<Uuid, String>,
    /// By `orgs.id`.
    pub orgs: HashMap<Uuid, String>,
    /// By `resources.id`.
    pub resources: HashMap<Uuid, String>,
    /// By `chat_threads.id`: the topic.
    pub threads: HashMap<Uuid, String>,
    /// By `meetings.id`: the title.
    pub meetings: HashMap<Uuid, String>,
    /// By `meetings.id`: when it starts.
    pub meeting_times: HashMap<Uuid, DateTime<Utc>>,
    /// How the application shows them.
    pub rendering: Rendering,
}

impl Names {
    pub(super) fn links(&self) -> &Links {
        &self.rendering.links
    }

    pub(super) fn body_format(&self) -> BodyFormat {
        self.rendering.body_format
    }

    /// A person's full name, else e-mail address.
    pub(super) fn person(&self, id: Option<Uuid>) -> Option<&str> {
        let person = self.people.get(&id?)?;
        not_blank(person.full_name.as_deref()).or_else(|| not_blank(person.email.as_deref()))
    }

    pub(super) fn email(&self, id: Uuid) -> Option<&str> {
        not_blank(self.people.get(&id)?.email.as_deref())
    }
}

pub(super) fn named(names: &HashMap<Uuid, String>, id: Option<Uuid>) -> Option<&str> {
    not_blank(names.get(&id?).map(String::as_str))
}

fn not_blank(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !is_blank(name))
}
