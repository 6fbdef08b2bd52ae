//! A person was invited to a meeting and is notified.

use super::meeting::Meeting;
use super::prelude::*;
use super::sample::{ADA, GRACE, KICKOFF, QUAYSIDE};

payload! {
    pub(super) struct MeetingInvited {
        actor_id: Option<Uuid> = |fields| Ok(fields.row.actor_id),
        // Unless the payload names an organiser, it is the actor.
        meeting: Meeting = |fields| {
            let mut meeting = Meeting::decode(fields, "")?;
            meeting.organizer.id = meeting.organizer.id.or(fields.row.actor_id);
            Ok(meeting)
        },
        invited_user_id: Uuid,
    }
}

impl Event for MeetingInvited {
    fn samples() -> Vec<EventRow> {
        let payload = json!({"invited_user_id": GRACE});
        vec![sample::event([ADA, QUAYSIDE, KICKOFF], payload)]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = &self.meeting;
        let [organizer] = names.of([&meeting.organizer]);
        let data = meeting.data(names, "meeting_invitation");
        let draft = meeting.draft(names, data, "When", |style| {
            let (who, place) = (style.name(organizer.label), meeting.place(names, style));
            format!("{who} invited you to {place}")
        });
        meeting.plan(Audience::User(self.invited_user_id), self.actor_id, &draft)
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::MeetingInvited as IT;
    use super::super::fixture::{planned, planned_with, sample, with};
    use super::super::sample::BRUNO;
    use super::{EventRow, Uuid, json};

    #[test]
    fn the_payload_may_name_the_organiser_and_the_time() {
        let payload = json!({
            "organizer_id": BRUNO,
            "start_time": "2026-03-01T09:00:00Z",
            "meeting_title": 7,
        });
        insta::assert_snapshot!(planned_with(IT, payload), @r#"
        to User(GRACE) but ADA, project QUAYSIDE, in app
          Bruno Keller invited you to Kick-off with the lender · Quayside Lofts
          **Bruno Keller** invited you to **Kick-off with the lender** · **Quayside Lofts**. When: {{meeting_time}}.
          /project/workspace/QUAYSIDE?tab=meetings
          {meeting_id: "KICKOFF", meeting_title: "Kick-off with the lender", organizer_id: "BRUNO", organizer_name: "Bruno Keller", project_id: "QUAYSIDE", project_name: "Quayside Lofts", start_time: "2026-03-01T09:00:00Z", type: "meeting_invitation"}
        "#);
    }

    #[test]
    fn an_unknown_meeting_has_no_time_and_no_project() {
        let row = EventRow {
            meeting_id: Some(Uuid::nil()),
            project_id: None,
            ..with(sample(IT), json!({"organizer_id": Uuid::nil()}))
        };
        let planned = planned(IT, &row).replace(&Uuid::nil().to_string(), "NIL");
        insta::assert_snapshot!(planned, @r#"
        to User(GRACE) but ADA, in app
          Someone invited you to a meeting
          **Someone** invited you to **a meeting**.
          /dashboard?tab=meetings
          {meeting_id: "NIL", meeting_title: null, organizer_id: "NIL", organizer_name: "Someone", project_id: null, project_name: null, start_time: null, type: "meeting_invitation"}
        "#);
    }
}
