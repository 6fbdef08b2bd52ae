//! What the events of a meeting have in common.

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::draft::{Draft, Style, object};
use super::entity::{Entity, NamedEntity};
use super::{Lookups, Names, Rendering};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, Plan};

/// Stays in a body: the reader's app puts `payload.start_time` here, in the reader's time zone.
const TIME: &str = "{{meeting_time}}";

/// Longest time in bytes.
const TIME_MAX: usize = 64;

/// A meeting, who organises it, and the project it belongs to if there is one.
///
/// Optional keys: `meeting_title`, `start_time`, `organizer_id`, `organizer_name`, `project_id`
/// (else the column), `project_name`.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) id: Uuid,
    title: Entity,
    project: Entity,
    organizer: Entity,
    start_time: Option<String>,
}

impl Meeting {
    /// Reads a meeting that, where the payload doesn't tell, is organised by `organizer_id`.
    pub(super) fn decode(
        fields: Fields<'_>,
        organizer_id: Option<Uuid>,
    ) -> Result<Self, InvalidEvent> {
        let id = fields.column("meeting_id", fields.row.meeting_id)?;
        let organizer_id = fields.uuid("organizer_id").or(organizer_id);
        Ok(Self {
            id,
            title: Entity::meeting(fields, id),
            project: Entity::any_project(fields),
            organizer: Entity::person(fields, organizer_id, &["organizer_name"]),
            start_time: fields
                .text("start_time")
                .filter(|time| time.len() <= TIME_MAX)
                .map(str::to_owned),
        })
    }

    pub(super) fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.title, &self.project, &self.organizer]);
        if self.start_time.is_none() {
            lookups.meetings.insert(self.id);
        }
    }

    pub(super) fn named<'a>(&'a self, names: &'a Names) -> NamedMeeting<'a> {
        let [title, project, organizer] = names.of([&self.title, &self.project, &self.organizer]);
        let looked_up = || {
            names
                .meeting_times
                .get(&self.id)
                .map(|start| start.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        };
        NamedMeeting {
            meeting_id: self.id,
            rendering: &names.rendering,
            title,
            project,
            organizer,
            start_time: self.start_time.clone().or_else(looked_up),
        }
    }
}

/// A meeting whose names were looked for.
#[derive(Debug)]
pub(super) struct NamedMeeting<'a> {
    meeting_id: Uuid,
    pub(super) rendering: &'a Rendering,
    title: NamedEntity<'a>,
    project: NamedEntity<'a>,
    pub(super) organizer: NamedEntity<'a>,
    start_time: Option<String>,
}

impl NamedMeeting<'_> {
    /// What and where it is: "Kick-off · Atlas".
    pub(super) fn place(&self, style: Style) -> String {
        style.place(self.title, self.project)
    }

    /// What its notifications carry.
    pub(super) fn data(&self, kind: &str) -> Map<String, Value> {
        let organizer = self.organizer;
        object! {
            "type": kind,
            "meeting_id": self.title.id,
            "meeting_title": self.title.name,
            "start_time": self.start_time,
            "organizer_id": organizer.id,
            "organizer_name": organizer.name.or(organizer.id.map(|_| organizer.words)),
            "project_id": self.project.id,
            "project_name": self.project.name,
        }
    }

    /// A notification that links to it and, if known, ends with its time.
    pub(super) fn draft(
        &self,
        data: Map<String, Value>,
        time: &str,
        sentence: impl Fn(Style) -> String,
    ) -> Draft {
        let time = self.start_time.as_ref().map(|_| format!("{time}: {TIME}."));
        let Rendering { body_format, links } = self.rendering;
        let link_url = links.meetings(self.project.id, self.meeting_id);
        Draft::new(*body_format, link_url, data, sentence).and(time)
    }

    /// Tells an audience in the application only.
    pub(super) fn plan(
        &self,
        audience: Audience,
        actor_id: Option<Uuid>,
        draft: &Draft,
    ) -> Vec<Plan> {
        vec![Plan {
            audience,
            actor_id,
            scopes: self.project.scopes(),
            in_app: draft.in_app(),
            email: None,
            once_key: None,
        }]
    }
}
