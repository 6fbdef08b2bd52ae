//! What the events of a chat thread have in common.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::draft::{Style, object};
use super::entity::{Entity, NamedEntity};
use super::{Lookups, Names, Rendering};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::PreferenceScopes;

/// A thread, and the project it is in if the event tells.
///
/// Optional keys: `thread_topic` or `thread_name`, `project_id` (else the column), `project_name`.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) id: Uuid,
    topic: Entity,
    project: Entity,
}

impl Thread {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let id = fields.column("thread_id", fields.row.thread_id)?;
        Ok(Self {
            id,
            topic: Entity::thread(fields, id),
            project: Entity::any_project(fields),
        })
    }

    pub(super) fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.topic, &self.project]);
    }

    pub(super) fn named<'a>(&'a self, names: &'a Names) -> NamedThread<'a> {
        let [topic, project] = names.of([&self.topic, &self.project]);
        NamedThread {
            id: self.id,
            rendering: &names.rendering,
            topic,
            project,
        }
    }
}

/// A thread whose names were looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedThread<'a> {
    id: Uuid,
    pub(super) rendering: &'a Rendering,
    pub(super) topic: NamedEntity<'a>,
    pub(super) project: NamedEntity<'a>,
}

impl NamedThread<'_> {
    /// Where it is: "Budget · Atlas".
    pub(super) fn place(self, style: Style) -> String {
        style.place(self.topic, self.project)
    }

    pub(super) fn link(self) -> String {
        self.rendering.links.thread(self.project.id, self.id)
    }

    pub(super) fn scopes(self) -> PreferenceScopes {
        PreferenceScopes {
            thread_id: Some(self.id),
            ..self.project.scopes()
        }
    }

    pub(super) fn data(self, kind: &str) -> Map<String, Value> {
        object! {
            "type": kind,
            "thread_id": self.id,
            "thread_name": self.topic.name,
            "project_id": self.project.id,
            "project_name": self.project.name,
        }
    }
}
