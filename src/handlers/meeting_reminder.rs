//! A meeting starts soon: one participant is reminded.

use serde_json::json;
use uuid::Uuid;

use super::draft::{counted, object};
use super::meeting::Meeting;
use super::payload::payload;
use super::sample::{self, CHECK_IN, CHIARA, Column};
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Audience, Plan};

payload! {
    pub(super) struct MeetingReminder {
        meeting: Meeting,
        user_id: Uuid,
        meeting_link: Option<String>,
        reminder_minutes: Option<i64>,
    }
}

/// The application links to it: nothing that a browser would run may pass.
fn is_web_address(link: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        let start = link.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

impl Event for MeetingReminder {
    fn samples() -> Vec<EventRow> {
        vec![sample::event(
            [Column::Meeting(CHECK_IN)],
            json!({
                "user_id": CHIARA,
                "reminder_minutes": 15,
                "meeting_link": "https://meet.example.com/weekly",
            }),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let meeting = &self.meeting;
        let minutes = self.reminder_minutes.filter(|minutes| *minutes >= 0);
        let minutes = minutes.unwrap_or(30);
        let link = self.meeting_link.as_deref();
        let data = object! {
            ..meeting.data(names, "meeting_reminder"),
            "meeting_link": link.filter(|link| is_web_address(link)),
            "reminder_minutes": minutes,
        };
        let starts = match minutes {
            0 => "now".to_owned(),
            minutes => format!("in {}", counted(minutes, "minute")),
        };
        let [organizer] = names.of([&meeting.organizer]);
        let organizer = organizer.name.map(|name| names.body_format().bold(name));
        let draft = meeting
            .draft(names, data, "When", |style| {
                format!("{} starts {starts}", meeting.place(names, style))
            })
            .and(organizer.map(|name| format!("Organised by {name}.")));
        meeting.plan(Audience::User(self.user_id), None, &draft)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::MeetingReminder as IT;
    use super::super::fixture::planned_with;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(CHIARA), in app
          Weekly check-in starts in 15 minutes
          **Weekly check-in** starts in 15 minutes. When: {{meeting_time}}.
          /dashboard?tab=meetings
          {meeting_id: "5eed5eed-fa11-4006-8000-000000000002", meeting_link: "https://meet.example.com/weekly", meeting_title: "Weekly check-in", organizer_id: null, organizer_name: null, project_id: null, project_name: null, reminder_minutes: 15, start_time: "2030-01-17T09:30:00Z", type: "meeting_reminder"}
        "#);
    }

    #[test]
    fn links_that_a_browser_would_run_and_odd_times_are_ignored() {
        let odd = |minutes, link| json!({"reminder_minutes": minutes, "meeting_link": link});
        let planned = [
            odd(json!(0), "HTTP://meet.example.com/1"),
            odd(json!(1), "javascript:alert(1)"),
            odd(json!(-5), "//evil.example"),
            odd(json!("soon"), "data:text/html,x"),
        ];
        let planned = planned.map(|payload| {
            let planned = planned_with(IT, payload);
            let link = planned.split("meeting_link: ").nth(1).expect("a link");
            let link = link.split(',').next().expect("a link");
            format!("{} {link}", planned.lines().nth(1).unwrap_or_default())
        });
        insta::assert_snapshot!(planned.join("\n"), @r#"
        Weekly check-in starts now "HTTP://meet.example.com/1"
        Weekly check-in starts in 1 minute null
        Weekly check-in starts in 30 minutes null
        Weekly check-in starts in 30 minutes null
        "#);
    }

    #[test]
    fn an_organiser_is_named() {
        let planned = planned_with(IT, json!({"organizer_name": "Cy"}));
        assert!(planned.contains("Organised by **Cy**."), "{planned}");
    }
}
