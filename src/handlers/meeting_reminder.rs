//! A meeting starts soon: one participant is reminded.

use super::meeting::Meeting;
use super::prelude::*;
use super::sample::{CHECK_IN, CHIARA};

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
        let payload = json!({
            "user_id": CHIARA,
            "reminder_minutes": 15,
            "meeting_link": "https://meet.example.com/weekly",
        });
        vec![sample::event([CHECK_IN], payload)]
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
    use super::super::EventType::MeetingReminder as IT;
    use super::super::fixture::{planned_with, titles};
    use super::{is_web_address, json};

    #[test]
    fn odd_times_are_ignored() {
        let times = [json!(0), json!(1), json!(-5), json!("soon")];
        let times = times.map(|minutes| json!({"reminder_minutes": minutes}));
        insta::assert_snapshot!(titles(IT, times), @"
        Weekly check-in starts now
        Weekly check-in starts in 1 minute
        Weekly check-in starts in 30 minutes
        Weekly check-in starts in 30 minutes
        ");
    }

    #[test]
    fn links_that_a_browser_would_run_are_ignored() {
        assert!(is_web_address("HTTP://meet.example.com/1"));
        for link in [
            "javascript:alert(1)",
            "//evil.example",
            "data:text/html,x",
            "é",
        ] {
            let planned = planned_with(IT, json!({"meeting_link": link}));
            assert!(planned.contains("meeting_link: null"), "{planned}");
        }
    }

    #[test]
    fn an_organiser_is_named() {
        let planned = planned_with(IT, json!({"organizer_name": "Cy"}));
        assert!(planned.contains("Organised by **Cy**."), "{planned}");
    }
}
