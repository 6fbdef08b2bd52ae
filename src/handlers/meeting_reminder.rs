//! A meeting starts soon: one participant is reminded.
//!
//! Optional keys: `reminder_minutes` (else 30), `meeting_link`, and those of a [`Meeting`].

use uuid::Uuid;

use super::draft::{counted, object};
use super::meeting::Meeting;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct MeetingReminder {
    user_id: Uuid,
    meeting: Meeting,
    meeting_link: Option<String>,
    reminder_minutes: i64,
}

impl MeetingReminder {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let minutes = fields
            .integer("reminder_minutes")
            .filter(|minutes| *minutes >= 0);
        let link = fields
            .text("meeting_link")
            .filter(|link| is_web_address(link));
        Ok(Self {
            meeting: Meeting::decode(fields, None)?,
            user_id: fields.required_uuid("user_id")?,
            meeting_link: link.map(str::to_owned),
            reminder_minutes: minutes.unwrap_or(30),
        })
    }
}

/// The app makes a link of it: nothing that a browser would run may pass.
fn is_web_address(link: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        let start = link.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

impl Handler for MeetingReminder {
    fn lookups(&self, lookups: &mut Lookups) {
        self.meeting.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = self.meeting.named(names);
        let data = object! {
            ..meeting.data("meeting_reminder"),
            "meeting_link": self.meeting_link,
            "reminder_minutes": self.reminder_minutes,
        };
        let starts = match self.reminder_minutes {
            0 => "now".to_owned(),
            minutes => format!("in {}", counted(minutes, "minute")),
        };
        let organizer = meeting
            .organizer
            .name
            .map(|name| meeting.rendering.body_format.bold(name));
        let draft = meeting
            .draft(data, "When", |style| {
                format!("{} starts {starts}", meeting.place(style))
            })
            .and(organizer.map(|name| format!("Organised by {name}.")));
        meeting.plan(Audience::User(self.user_id), None, &draft)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{ADA, BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::MeetingReminder;

    #[test]
    fn in_half_an_hour() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": ADA,
            "start_time": "2026-03-01T09:00:00Z",
            "organizer_id": BO,
            "meeting_link": "https://meet.example/abc",
        })), @r#"
        to User(ADA), project ATLAS
          app each: Kick-off · Atlas starts in 30 minutes
            **Kick-off** · **Atlas** starts in 30 minutes. When: {{meeting_time}}. Organised by **bo@example.com**.
            /project/workspace/ATLAS?tab=meetings
            {meeting_id: "KICKOFF", meeting_link: "https://meet.example/abc", meeting_title: "Kick-off", organizer_id: "BO", organizer_name: "bo@example.com", project_id: "ATLAS", project_name: "Atlas", reminder_minutes: 30, start_time: "2026-03-01T09:00:00Z", type: "meeting_reminder"}
        "#);
    }

    #[test]
    fn in_a_minute() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": ADA,
            "reminder_minutes": 1,
            "meeting_link": "javascript:alert(1)",
            "meeting_title": HOSTILE,
        })), @r#"
        to User(ADA), project ATLAS
          app each: [Win](https://evil.example) <img src=x> @all **now** `` # ! · Atlas starts in 1 minute
            **[Win](https://evil.example) <img src=x> @all now `` # !** · **Atlas** starts in 1 minute. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {meeting_id: "KICKOFF", meeting_link: null, meeting_title: "HOSTILE", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", reminder_minutes: 1, start_time: "1970-01-01T00:00:00Z", type: "meeting_reminder"}
        "#);
    }

    #[test]
    fn what_is_mistyped_falls_back() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": ADA,
            "reminder_minutes": -5,
            "start_time": true,
            "meeting_link": 7,
        })), @r#"
        to User(ADA), project ATLAS
          app each: Kick-off · Atlas starts in 30 minutes
            **Kick-off** · **Atlas** starts in 30 minutes. When: {{meeting_time}}.
            /project/workspace/ATLAS?tab=meetings
            {meeting_id: "KICKOFF", meeting_link: null, meeting_title: "Kick-off", organizer_id: null, organizer_name: null, project_id: "ATLAS", project_name: "Atlas", reminder_minutes: 30, start_time: "1970-01-01T00:00:00Z", type: "meeting_reminder"}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid meeting_reminder event: payload.user_id is required"
        );
        assert_eq!(
            planned(IT, json!({"user_id": "ada"})),
            "invalid meeting_reminder event: payload.user_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"user_id": ADA})),
            "invalid meeting_reminder event: meeting_id is required"
        );
    }
}
