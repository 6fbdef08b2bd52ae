//! A meeting was changed: its participants are notified of what changed.

use serde_json::Map;

use super::meeting::Meeting;
use super::prelude::*;
use super::sample::{ADA, KICKOFF, QUAYSIDE};

payload! {
    pub(super) struct MeetingUpdated {
        meeting: Meeting,
        actor: Entity = |fields| Ok(Entity::actor(fields, &["actor_name"])),
        changes: Option<Map<String, Value>>,
    }
}

impl Event for MeetingUpdated {
    fn samples() -> Vec<EventRow> {
        let payload = json!({"changes": {"timeChanged": true}});
        vec![sample::event([ADA, QUAYSIDE, KICKOFF], payload)]
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
    use super::super::EventType::MeetingUpdated as IT;
    use super::super::fixture::planned_with;
    use super::json;

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
