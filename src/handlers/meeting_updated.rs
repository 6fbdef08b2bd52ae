//! A meeting was changed: its participants hear what is new.
//!
//! Optional keys: `changes` with `timeChanged` and `participantsChanged`, `actor_name`, and those
//! of a [`Meeting`].

use serde_json::{Map, Value};

use super::draft::object;
use super::entity::Entity;
use super::meeting::Meeting;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct MeetingUpdated {
    actor: Entity,
    meeting: Meeting,
    changes: Map<String, Value>,
}

impl MeetingUpdated {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            actor: Entity::person(fields, fields.row.actor_id, &["actor_name"]),
            meeting: Meeting::decode(fields, None)?,
            changes: fields.object("changes").unwrap_or_default(),
        })
    }

    fn changed(&self, key: &str) -> bool {
        self.changes.get(key) == Some(&Value::Bool(true))
    }
}

impl Handler for MeetingUpdated {
    fn lookups(&self, lookups: &mut Lookups) {
        self.meeting.lookups(lookups);
        lookups.extend([&self.actor]);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = self.meeting.named(names);
        let [who] = names.of([&self.actor]);
        let (did, time) = match (
            self.changed("timeChanged"),
            self.changed("participantsChanged"),
        ) {
            (true, true) => ("changed the time and participants of", "New time"),
            (true, false) => ("changed the time of", "New time"),
            (false, true) => ("changed the participants of", "When"),
            (false, false) => ("updated", "When"),
        };
        let data = object! { ..meeting.data("meeting_update"), "changes": self.changes };
        let draft = meeting.draft(data, time, |style| {
            format!("{} {did} {}", style.name(who.words), meeting.place(style))
        });
        let participants = Audience::MeetingParticipants {
            meeting_id: self.meeting.id,
        };
        meeting.plan(participants, who.id, &draft)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{BO, HOSTILE, KICKOFF, planned, planned_without_columns};

    const IT: EventType = EventType::MeetingUpdated;

    #[test]
    fn another_time() {
        insta::assert_snapshot!(planned(IT, json!({
            "changes": {"timeChanged": true},
            "start_time": "2026-03-01T09:00:00Z",
        })), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project ATLAS
          app each: Ada changed the time of Kick-off · Atlas
            **Ada** changed the time of **Kick-off** · **Atlas**. New time: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {changes: {"timeChanged":true}, meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", start_time: "2026-03-01T09:00:00Z", type: "meeting_update"}
        "#);
    }

    #[test]
    fn other_participants() {
        insta::assert_snapshot!(planned(IT, json!({
            "changes": {"participantsChanged": true},
            "start_time": "2026-03-01T09:00:00Z",
            "organizer_id": BO,
        })), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project ATLAS
          app each: Ada changed the participants of Kick-off · Atlas
            **Ada** changed the participants of **Kick-off** · **Atlas**. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {changes: {"participantsChanged":true}, meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: "BO", organizer_name: "bo@example.com", project_id: "ATLAS", project_name: "Atlas", start_time: "2026-03-01T09:00:00Z", type: "meeting_update"}
        "#);
    }

    #[test]
    fn both() {
        insta::assert_snapshot!(planned(IT, json!({
            "changes": {"timeChanged": true, "participantsChanged": true},
        })), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project ATLAS
          app each: Ada changed the time and participants of Kick-off · Atlas
            **Ada** changed the time and participants of **Kick-off** · **Atlas**. New time: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {changes: {"participantsChanged":true,"timeChanged":true}, meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", start_time: "1970-01-01T00:00:00Z", type: "meeting_update"}
        "#);
    }

    #[test]
    fn something_else() {
        insta::assert_snapshot!(planned(IT, json!({
            "changes": {"timeChanged": "yes"},
            "meeting_title": HOSTILE,
        })), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project ATLAS
          app each: Ada updated [Win](https://evil.example) <img src=x> @all **now** `` # ! · Atlas
            **Ada** updated **[Win](https://evil.example) <img src=x> @all now `` # !** · **Atlas**. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {changes: {"timeChanged":"yes"}, meeting_id: "KICKOFF", meeting_title: "HOSTILE", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", start_time: "1970-01-01T00:00:00Z", type: "meeting_update"}
        "#);
        insta::assert_snapshot!(planned(IT, json!({"changes": "all"})), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project ATLAS
          app each: Ada updated Kick-off · Atlas
            **Ada** updated **Kick-off** · **Atlas**. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {changes: {}, meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", start_time: "1970-01-01T00:00:00Z", type: "meeting_update"}
        "#);
    }

    #[test]
    fn a_meeting_is_required() {
        assert_eq!(
            planned_without_columns(IT, json!({"meeting_id": KICKOFF})),
            "invalid meeting_updated event: meeting_id is required"
        );
    }
}
