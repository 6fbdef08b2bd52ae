//! A person has left messages in a thread unread for long: an e-mail reminds them. Nothing appears
//! in the application, which shows the messages anyway.

use serde_json::json;
use uuid::Uuid;

use super::draft::{Draft, counted, object};
use super::payload::payload;
use super::sample::{self, CHECKLIST, CHIARA, Column, QUAYSIDE};
use super::thread::Thread;
use super::{Event, MailTemplates, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Audience, EmailTiming, Plan};

payload! {
    pub(super) struct ThreadUnreadStale {
        thread: Thread,
        user_id: Uuid,
        unread_count: Option<i64>,
    }
}

impl Event for ThreadUnreadStale {
    const MAIL: Option<MailTemplates> = Some(templates!("thread_unread_stale", "unread_count"));

    fn samples() -> Vec<EventRow> {
        vec![sample::event(
            [Column::Project(QUAYSIDE), Column::Thread(CHECKLIST)],
            json!({"user_id": CHIARA, "unread_count": 4}),
        )]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [topic, project] = names.of([&self.thread.topic, &self.thread.project]);
        let unread_count = self.unread_count.filter(|count| *count > 0).unwrap_or(1);
        let data = object! {
            ..self.thread.data(names, "thread_unread_stale"),
            "thread_topic": topic.label,
            "unread_count": unread_count,
        };
        let draft = Draft::new(names, self.thread.link(names), data, |style| {
            let unread = counted(unread_count, "unread message");
            format!("You have {unread} in {}", self.thread.place(names, style))
        });
        vec![Plan {
            email: Some(draft.email(EmailTiming::Aggregated, project)),
            ..Plan::new(Audience::User(self.user_id), self.thread.scopes())
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::ThreadUnreadStale as IT;
    use super::super::fixture::{mail, planned_with};

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to User(CHIARA), project QUAYSIDE, thread CHECKLIST, e-mail Aggregated
          e-mail, Quayside Lofts: You have 4 unread messages in Closing checklist · Quayside Lofts
          {link_url: "/project/workspace/QUAYSIDE?tab=chat&thread=CHECKLIST", project_id: "QUAYSIDE", project_name: "Quayside Lofts", thread_id: "CHECKLIST", thread_name: "Closing checklist", thread_topic: "Closing checklist", type: "thread_unread_stale", unread_count: 4}
        "#);
        insta::assert_snapshot!(mail(IT), @"
        Unread messages

        You have 4 unread messages in Closing checklist · Quayside Lofts.

        Read them:
        https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001?tab=chat&thread=5eed5eed-fa11-4005-8000-000000000001

        ---
        You get this because you take part in this chat on app.example.com.
        ");
    }

    #[test]
    fn a_count_that_is_none_is_one() {
        for count in [json!(null), json!(0), json!(-3), json!(1.5), json!("2")] {
            let planned = planned_with(IT, json!({"unread_count": count}));
            assert!(
                planned.contains("You have 1 unread message in"),
                "{planned}"
            );
        }
    }
}
