//! What the events of a meeting have in common.

use chrono::SecondsFormat;
use serde_json::Map;

use super::Lookups;
use super::draft::Style;
use super::payload::Part;
use super::prelude::*;
use crate::domain::event::InvalidEvent;

/// Stays in a body: the application puts `payload.start_time` here, in the recipient's time zone.
const TIME: &str = "{{meeting_time}}";

/// Longest time in bytes.
const TIME_MAX: usize = 64;

payload! {
    /// A meeting, who organises it, and the project it belongs to if there is one.
    pub(super) struct Meeting {
        id: Uuid = |fields| fields.column("meeting_id", fields.row.meeting_id),
        title: Entity = |fields| Ok(Entity::meeting(fields)),
        project: Entity,
        organizer: Entity = |fields| {
            let id = fields.optional("organizer_id");
            Ok(Entity::person(fields, id, &["organizer_name"]))
        },
        start: Start,
    }
}

/// When a meeting starts: `start_time`, else as its row says.
#[derive(Debug)]
pub(super) struct Start {
    given: Option<String>,
    meeting_id: Option<Uuid>,
}

impl Part for Start {
    fn decode(fields: Fields<'_>, _: &'static str) -> Result<Self, InvalidEvent> {
        let given: Option<String> = fields.optional("start_time");
        Ok(Self {
            given: given.filter(|time| time.len() <= TIME_MAX),
            meeting_id: fields.row.meeting_id,
        })
    }

    fn lookups(&self, lookups: &mut Lookups) {
        if self.given.is_none() {
            lookups.meetings.extend(self.meeting_id);
        }
    }
}

impl Meeting {
    /// What and where it is: "Kick-off · Atlas".
    pub(super) fn place(&self, names: &Names, style: Style) -> String {
        let [title, project] = names.of([&self.title, &self.project]);
        style.place(title, project)
    }

    fn start_time(&self, names: &Names) -> Option<String> {
        let time = names.meeting_times.get(&self.id);
        let looked_up = || Some(time?.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        self.start.given.clone().or_else(looked_up)
    }

    pub(super) fn data(&self, names: &Names, kind: &str) -> Map<String, Value> {
        let [title, project, organizer] = names.of([&self.title, &self.project, &self.organizer]);
        object! {
            "type": kind,
            "meeting_id": title.id,
            "meeting_title": title.name,
            "start_time": self.start_time(names),
            "organizer_id": organizer.id,
            "organizer_name": organizer.name.or(organizer.id.map(|_| organizer.label)),
            "project_id": project.id,
            "project_name": project.name,
        }
    }

    /// A message that links to it and, if known, ends with its time.
    pub(super) fn draft(
        &self,
        names: &Names,
        data: Map<String, Value>,
        time: &str,
        sentence: impl Fn(Style) -> String,
    ) -> Draft {
        let time = self.start_time(names).map(|_| format!("{time}: {TIME}."));
        let link_url = names.links().meetings(self.project.id, self.id);
        Draft::new(names, link_url, data, sentence).and(time)
    }

    /// Notifies an audience in the application only.
    pub(super) fn plan(&self, to: Audience, actor_id: Option<Uuid>, draft: &Draft) -> Vec<Plan> {
        vec![Plan {
            actor_id,
            ..draft.plan(to, self.project.scopes())
        }]
    }
}
