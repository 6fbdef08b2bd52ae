//! The names that messages need, looked up once for a whole batch, and how to render them.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::links::Links;
use crate::domain::body::BodyFormat;
use crate::domain::text::is_blank;

/// What the application's configuration decides about notifications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendering {
    pub body_format: BodyFormat,
    pub links: Links,
}

/// The rows whose names a batch needs. Ordered, so that the same batch asks the same question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookups {
    pub people: BTreeSet<Uuid>,
    pub projects: BTreeSet<Uuid>,
    pub orgs: BTreeSet<Uuid>,
    pub resources: BTreeSet<Uuid>,
    pub threads: BTreeSet<Uuid>,
    pub meetings: BTreeSet<Uuid>,
}

/// What messages need of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    pub full_name: Option<String>,
    pub email: Option<String>,
}

/// The names that were found, by identifier. A row that is gone has none.
#[derive(Debug, Clone, Default)]
pub struct Names {
    pub people: HashMap<Uuid, Profile>,
    pub projects: HashMap<Uuid, String>,
    pub orgs: HashMap<Uuid, String>,
    pub resources: HashMap<Uuid, String>,
    /// Topics.
    pub threads: HashMap<Uuid, String>,
    /// Titles.
    pub meetings: HashMap<Uuid, String>,
    /// When each meeting starts.
    pub meeting_times: HashMap<Uuid, DateTime<Utc>>,
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
