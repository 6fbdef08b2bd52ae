//! Somebody was invited to a meeting and hears of it.
//!
//! Optional keys: those of a [`Meeting`]; without `organizer_id` the actor is the organiser.

use uuid::Uuid;

use super::meeting::Meeting;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct MeetingInvited {
    actor_id: Option<Uuid>,
    invited_user_id: Uuid,
    meeting: Meeting,
}

impl MeetingInvited {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let actor_id = fields.row.actor_id;
        Ok(Self {
            actor_id,
            meeting: Meeting::decode(fields, actor_id)?,
            invited_user_id: fields.required_uuid("invited_user_id")?,
        })
    }
}

impl Handler for MeetingInvited {
    fn lookups(&self, lookups: &mut Lookups) {
        self.meeting.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = self.meeting.named(names);
        let who = meeting.organizer.words;
        let draft = meeting.draft(meeting.data("meeting_invitation"), "When", |style| {
            format!(
                "{} invited you to {}",
                style.name(who),
                meeting.place(style)
            )
        });
        meeting.plan(Audience::User(self.invited_user_id), self.actor_id, &draft)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{
        BO, CY, GONE, HOSTILE, KICKOFF, planned, planned_row, planned_without_columns,
    };
    use crate::domain::event::EventRow;

    const IT: EventType = EventType::MeetingInvited;

    #[test]
    fn the_actor_organises() {
        insta::assert_snapshot!(planned(IT, json!({
            "invited_user_id": BO,
            "start_time": "2026-03-01T09:00:00Z",
        })), @r#"
        to User(BO) but ADA, project ATLAS
          app each: Ada invited you to Kick-off · Atlas
            **Ada** invited you to **Kick-off** · **Atlas**. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: "ADA", organizer_name: "Ada", project_id: "ATLAS", project_name: "Atlas", start_time: "2026-03-01T09:00:00Z", type: "meeting_invitation"}
        "#);
    }

    #[test]
    fn names_in_the_payload_come_first() {
        insta::assert_snapshot!(planned(IT, json!({
            "invited_user_id": BO,
            "meeting_title": "Review",
            "organizer_id": CY,
            "organizer_name": "Cy",
            "project_name": HOSTILE,
        })), @r#"
        to User(BO) but ADA, project ATLAS
          app each: Cy invited you to Review · [Win](https://evil.example) <img src=x> @all **now** `` # !
            **Cy** invited you to **Review** · **[Win](https://evil.example) <img src=x> @all now `` # !**. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {meeting_id: "KICKOFF", meeting_title: "Review", organizer_id: "CY", organizer_name: "Cy", project_id: "ATLAS", project_name: "HOSTILE", start_time: "1970-01-01T00:00:00Z", type: "meeting_invitation"}
        "#);
    }

    #[test]
    fn without_a_project() {
        let row = EventRow {
            meeting_id: Some(KICKOFF),
            ..EventRow::default()
        };
        let payload = json!({"invited_user_id": BO, "meeting_title": 7});
        insta::assert_snapshot!(planned_row(IT, row, payload), @r#"
        to User(BO)
          app each: Someone invited you to Kick-off
            **Someone** invited you to **Kick-off**. When: {{meeting_time}}.
            /dashboard?tab=meetings
            {meeting_id: "KICKOFF", meeting_title: "Kick-off", organizer_id: null, organizer_name: null, project_id: null, project_name: null, start_time: "1970-01-01T00:00:00Z", type: "meeting_invitation"}
        "#);
    }

    #[test]
    fn a_meeting_that_is_gone_has_no_time() {
        let row = EventRow {
            meeting_id: Some(GONE),
            ..EventRow::default()
        };
        let payload = json!({"invited_user_id": BO, "organizer_id": CY});
        insta::assert_snapshot!(planned_row(IT, row, payload), @r#"
        to User(BO)
          app each: Someone invited you to a meeting
            **Someone** invited you to **a meeting**.
            /dashboard?tab=meetings
            {meeting_id: "GONE", meeting_title: null, organizer_id: "CY", organizer_name: "Someone", project_id: null, project_name: null, start_time: null, type: "meeting_invitation"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid meeting_invited event: payload.invited_user_id is required"
        );
        assert_eq!(
            planned(IT, json!({"invited_user_id": []})),
            "invalid meeting_invited event: payload.invited_user_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"invited_user_id": BO})),
            "invalid meeting_invited event: meeting_id is required"
        );
    }
}
