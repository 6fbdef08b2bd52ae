//! The rows that an event refers to, and what messages call them.

use uuid::Uuid;

use super::names::named;
use super::payload::Part;
use super::{Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::PreferenceScopes;

/// Which table has the name.
#[derive(Debug, Clone, Copy)]
enum EntityKind {
    Person,
    Project,
    Org,
    Document,
    Thread,
    Meeting,
}

/// A row that messages name: as the payload names it, else by a lookup.
#[derive(Debug)]
pub(super) struct Entity {
    kind: EntityKind,
    pub(super) id: Option<Uuid>,
    given: Option<String>,
}

impl Entity {
    /// A person; `keys` are the payload keys that may hold the name.
    pub(super) fn person(fields: Fields<'_>, id: Option<Uuid>, keys: &[&str]) -> Self {
        Self::new(EntityKind::Person, fields, id, keys)
    }

    /// The actor; `keys` are the payload keys that may hold the name.
    pub(super) fn actor(fields: Fields<'_>, keys: &[&str]) -> Self {
        Self::person(fields, fields.row.actor_id, keys)
    }

    pub(super) fn project(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        Self::new(EntityKind::Project, fields, id, &["project_name"])
    }

    pub(super) fn org(fields: Fields<'_>, id: Uuid) -> Self {
        Self::new(EntityKind::Org, fields, Some(id), &["org_name"])
    }

    /// An organisation that may not be one of this database, and has a name all the same.
    pub(super) fn tenant(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        Self::new(EntityKind::Org, fields, id, &["tenant_name", "org_name"])
    }

    pub(super) fn document(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        let keys = &["fileName", "resource_name"];
        Self::new(EntityKind::Document, fields, id, keys)
    }

    pub(super) fn thread(fields: Fields<'_>) -> Self {
        let keys = &["thread_topic", "thread_name"];
        Self::new(EntityKind::Thread, fields, fields.row.thread_id, keys)
    }

    pub(super) fn meeting(fields: Fields<'_>) -> Self {
        let keys = &["meeting_title"];
        Self::new(EntityKind::Meeting, fields, fields.row.meeting_id, keys)
    }

    fn new(kind: EntityKind, fields: Fields<'_>, id: Option<Uuid>, keys: &[&str]) -> Self {
        let given = fields.first_text(keys);
        Self { kind, id, given }
    }

    /// The preferences that count for an event of this project.
    pub(super) fn scopes(&self) -> PreferenceScopes {
        PreferenceScopes {
            project_id: self.id,
            thread_id: None,
        }
    }
}

/// Unless declared otherwise, the project of an event that may have none: the column, else the
/// payload's `project_id`.
impl Part for Entity {
    fn decode(fields: Fields<'_>, _: &'static str) -> Result<Self, InvalidEvent> {
        let id = fields.row.project_id;
        let id = id.or_else(|| fields.optional("project_id"));
        Ok(Self::project(fields, id))
    }

    fn lookups(&self, lookups: &mut Lookups) {
        let ids = match self.kind {
            EntityKind::Person => &mut lookups.people,
            EntityKind::Project => &mut lookups.projects,
            EntityKind::Org => &mut lookups.orgs,
            EntityKind::Document => &mut lookups.resources,
            EntityKind::Thread => &mut lookups.threads,
            EntityKind::Meeting => &mut lookups.meetings,
        };
        if self.given.is_none() {
            ids.extend(self.id);
        }
    }
}

/// An entity whose name was looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedEntity<'a> {
    pub(super) id: Option<Uuid>,
    pub(super) name: Option<&'a str>,
    /// Its name, or what to call it without one.
    pub(super) label: &'a str,
}

impl Names {
    /// Finds the names of these entities.
    pub(super) fn of<'a, const N: usize>(
        &'a self,
        entities: [&'a Entity; N],
    ) -> [NamedEntity<'a>; N] {
        entities.map(|entity| self.name(entity))
    }

    fn name<'a>(&'a self, entity: &'a Entity) -> NamedEntity<'a> {
        let id = entity.id;
        let (found, otherwise) = match entity.kind {
            EntityKind::Person => (self.person(id), "Someone"),
            EntityKind::Project => (named(&self.projects, id), "a project"),
            EntityKind::Org => (named(&self.orgs, id), "your organisation"),
            EntityKind::Document => (named(&self.resources, id), "a document"),
            EntityKind::Thread => (named(&self.threads, id), "a chat thread"),
            EntityKind::Meeting => (named(&self.meetings, id), "a meeting"),
        };
        let name = entity.given.as_deref().or(found);
        NamedEntity {
            id,
            name,
            label: name.unwrap_or(otherwise),
        }
    }
}
