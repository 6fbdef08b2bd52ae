//! A meeting was changed: its participants are notified of what changed.

use serde_json::{Map, Value, json};

use super::draft::object;
use super::entity::Entity;
use super::meeting::Meeting;
use super::payload::payload;
use super::sample::{self, ADA, Column, KICKOFF, QUAYSIDE};
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Audience, Plan};

payload! {
    pub(super) struct MeetingUpdated {
        meeting: Meeting,
        actor: Entity = |fields| Ok(Entity::actor(fields, &["actor_name"])),
        changes: Option<Map<String, Value>>,
    }
}

impl Event for MeetingUpdated {
    fn samples() -> Vec<EventRow> {
        vec![sample::event(
            [
                Column::Actor(ADA),
                Column::Project(QUAYSIDE),
                Column::Meeting(KICKOFF),
            ],
            json!({"changes": {"timeChanged": true}}),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = &self.meeting;
        let [who] = names.of([&self.actor]);
        let changes = self.changes.clone().unwrap_or_default();
        let is_set = |key| changes.get(key) == Some(&Value::Bool(true));
        let (did, time) = match (is_set("timeChanged"), is_set("participantsChanged")) {
            (true, true) => ("changed the time and participants of", "New time"),
            (true, false) => ("changed the time of", "New time"),
            (false, true) => ("changed the participants of", "When"),
            (false, false) => ("updated", "When"),
        };
        let data = object! { ..meeting.data(names, "meeting_update"), "changes": changes };
        let draft = meeting.draft(names, data, time, |style| {
            let (who, place) = (style.name(who.label), meeting.place(names, style));
            format!("{who} {did} {place}")
        });
        let meeting_id = meeting.id;
        meeting.plan(Audience::MeetingParticipants { meeting_id }, who.id, &draft)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::MeetingUpdated as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to MeetingParticipants { meeting_id: KICKOFF } but ADA, project QUAYSIDE, in app
          Ada Okafor changed the time of Kick-off with the lender · Quayside Lofts
          **Ada Okafor** changed the time of **Kick-off with the lender** · **Quayside Lofts**. New time: {{meeting_time}}.
          /project/workspace/QUAYSIDE?tab=meetings
          {changes: {"timeChanged":true}, meeting_id: "KICKOFF", meeting_title: "Kick-off with the lender", organizer_id: null, organizer_name: null, project_id: "QUAYSIDE", project_name: "Quayside Lofts", start_time: "2030-01-17T09:30:00Z", type: "meeting_update"}
        "#);
    }

    #[test]
    fn each_kind_of_change_has_its_sentence() {
        let changes = [
            json!({"participantsChanged": true}),
            json!({"timeChanged": true, "participantsChanged": true}),
            json!({"timeChanged": "yes"}),
            json!("all"),
        ];
        let bodies = changes.map(|changes| {
            let planned = planned_with(IT, json!({ "changes": changes }));
            planned.lines().nth(2).unwrap_or_default().to_owned()
        });
        insta::assert_snapshot!(bodies.join("\n"), @"
        **Ada Okafor** changed the participants of **Kick-off with the lender** · **Quayside Lofts**. When: {{meeting_time}}.
        **Ada Okafor** changed the time and participants of **Kick-off with the lender** · **Quayside Lofts**. New time: {{meeting_time}}.
        **Ada Okafor** updated **Kick-off with the lender** · **Quayside Lofts**. When: {{meeting_time}}.
        **Ada Okafor** updated **Kick-off with the lender** · **Quayside Lofts**. When: {{meeting_time}}.
        ");
    }
}
