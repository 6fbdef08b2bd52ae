//! What an event speaks of, and how messages call it.

use uuid::Uuid;

use super::{Lookups, Names};
use crate::domain::payload::Fields;
use crate::domain::plan::PreferenceScopes;

/// What kind of row has the name.
#[derive(Debug, Clone, Copy)]
enum EntityKind {
    Person,
    Project,
    Org,
    Document,
    Thread,
    Meeting,
}

/// Something that messages name: by the payload's word for it, else by a lookup.
#[derive(Debug)]
pub(super) struct Entity {
    kind: EntityKind,
    id: Option<Uuid>,
    given: Option<String>,
}

impl Entity {
    /// A person; `keys` are the payload keys that may hold the name.
    pub(super) fn person(fields: Fields<'_>, id: Option<Uuid>, keys: &[&str]) -> Self {
        Self::new(EntityKind::Person, fields, id, keys)
    }

    /// A project; its name may stand in `project_name`.
    pub(super) fn project(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        Self::new(EntityKind::Project, fields, id, &["project_name"])
    }

    /// The project of an event that may have none: the column, else the payload's `project_id`.
    pub(super) fn any_project(fields: Fields<'_>) -> Self {
        let id = fields.row.project_id.or_else(|| fields.uuid("project_id"));
        Self::project(fields, id)
    }

    /// An organisation; its name may stand in `org_name`.
    pub(super) fn org(fields: Fields<'_>, id: Uuid) -> Self {
        Self::new(EntityKind::Org, fields, Some(id), &["org_name"])
    }

    /// An organisation that may not be one of this database, and has a name all the same: in
    /// `tenant_name` or `org_name`.
    pub(super) fn tenant(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        Self::new(EntityKind::Org, fields, id, &["tenant_name", "org_name"])
    }

    /// A document; its name may stand in `fileName` or `resource_name`.
    pub(super) fn document(fields: Fields<'_>, id: Option<Uuid>) -> Self {
        Self::new(
            EntityKind::Document,
            fields,
            id,
            &["fileName", "resource_name"],
        )
    }

    /// A chat thread; its topic may stand in `thread_topic` or `thread_name`.
    pub(super) fn thread(fields: Fields<'_>, id: Uuid) -> Self {
        Self::new(
            EntityKind::Thread,
            fields,
            Some(id),
            &["thread_topic", "thread_name"],
        )
    }

    /// A meeting; its title may stand in `meeting_title`.
    pub(super) fn meeting(fields: Fields<'_>, id: Uuid) -> Self {
        Self::new(EntityKind::Meeting, fields, Some(id), &["meeting_title"])
    }

    fn new(kind: EntityKind, fields: Fields<'_>, id: Option<Uuid>, keys: &[&str]) -> Self {
        let given = fields.first_text(keys).map(str::to_owned);
        Self { kind, id, given }
    }
}

impl<'a> Extend<&'a Entity> for Lookups {
    fn extend<I: IntoIterator<Item = &'a Entity>>(&mut self, subjects: I) {
        for subject in subjects
            .into_iter()
            .filter(|subject| subject.given.is_none())
        {
            let ids = match subject.kind {
                EntityKind::Person => &mut self.people,
                EntityKind::Project => &mut self.projects,
                EntityKind::Org => &mut self.orgs,
                EntityKind::Document => &mut self.resources,
                EntityKind::Thread => &mut self.threads,
                EntityKind::Meeting => &mut self.meetings,
            };
            ids.extend(subject.id);
        }
    }
}

/// A subject whose name was looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedEntity<'a> {
    /// Its identifier, if the event has it.
    pub(super) id: Option<Uuid>,
    /// Its name, if anybody knows it.
    pub(super) name: Option<&'a str>,
    /// What to call it in any case.
    pub(super) words: &'a str,
}

impl NamedEntity<'_> {
    /// The preferences that count for an event of this project.
    pub(super) fn scopes(self) -> PreferenceScopes {
        PreferenceScopes {
            project_id: self.id,
            thread_id: None,
        }
    }
}

impl Names {
    /// Finds the names of these subjects.
    pub(super) fn of<'a, const N: usize>(
        &'a self,
        subjects: [&'a Entity; N],
    ) -> [NamedEntity<'a>; N] {
        subjects.map(|Entity { kind, id, given }| {
            let (found, otherwise) = match kind {
                EntityKind::Person => (self.person(*id), "Someone"),
                EntityKind::Project => (self.project(*id), "a project"),
                EntityKind::Org => (self.org(*id), "your organisation"),
                EntityKind::Document => (self.resource(*id), "a document"),
                EntityKind::Thread => (self.thread(*id), "a chat thread"),
                EntityKind::Meeting => (self.meeting(*id), "a meeting"),
            };
            let name = given.as_deref().or(found);
            NamedEntity {
                id: *id,
                name,
                words: name.unwrap_or(otherwise),
            }
        })
    }
}
