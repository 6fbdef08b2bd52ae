//! What the events of a chat thread have in common.

use serde_json::Map;

use super::draft::Style;
use super::prelude::*;
use crate::domain::plan::PreferenceScopes;

payload! {
    /// A thread, and the project it is in if the event names one.
    pub(super) struct Thread {
        id: Uuid = |fields| fields.column("thread_id", fields.row.thread_id),
        topic: Entity = |fields| Ok(Entity::thread(fields)),
        project: Entity,
    }
}

impl Thread {
    /// Where it is: "Budget · Atlas".
    pub(super) fn place(&self, names: &Names, style: Style) -> String {
        let [topic, project] = names.of([&self.topic, &self.project]);
        style.place(topic, project)
    }

    pub(super) fn link(&self, names: &Names) -> String {
        names.links().thread(self.project.id, self.id)
    }

    pub(super) fn scopes(&self) -> PreferenceScopes {
        PreferenceScopes {
            thread_id: Some(self.id),
            ..self.project.scopes()
        }
    }

    pub(super) fn data(&self, names: &Names, kind: &str) -> Map<String, Value> {
        let [topic, project] = names.of([&self.topic, &self.project]);
        object! {
            "type": kind,
            "thread_id": self.id,
            "thread_name": topic.name,
            "project_id": project.id,
            "project_name": project.name,
        }
    }
}
