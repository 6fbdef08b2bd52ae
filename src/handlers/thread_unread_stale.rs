//! Somebody has left messages in a thread unread for long: a mail reminds him, nothing appears in
//! the application, which shows them anyway.
//!
//! Optional keys: `unread_count` (else 1), and those of a [`Thread`].

use uuid::Uuid;

use super::draft::{Draft, counted, object};
use super::thread::Thread;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, InApp, Plan};

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ThreadUnreadStale {
    thread: Thread,
    user_id: Uuid,
    unread_count: i64,
}

impl ThreadUnreadStale {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let unread_count = fields.integer("unread_count").filter(|count| *count > 0);
        Ok(Self {
            thread: Thread::decode(fields)?,
            user_id: fields.required_uuid("user_id")?,
            unread_count: unread_count.unwrap_or(1),
        })
    }
}

impl Handler for ThreadUnreadStale {
    fn lookups(&self, lookups: &mut Lookups) {
        self.thread.lookups(lookups);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let thread = self.thread.named(names);
        let data = object! {
            ..thread.data("thread_unread_stale"),
            "thread_topic": thread.topic.words,
            "unread_count": self.unread_count,
        };
        let draft = Draft::new(names.body_format(), thread.link(), data, |style| {
            let unread = counted(self.unread_count, "unread message");
            format!("You have {unread} in {}", thread.place(style))
        });
        vec![Plan {
            audience: Audience::User(self.user_id),
            actor_id: None,
            scopes: thread.scopes(),
            in_app: InApp::None,
            email: Some(draft.email(EmailTiming::Aggregated, thread.project)),
            once_key: None,
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{BO, HOSTILE, planned, planned_without_columns};

    const IT: EventType = EventType::ThreadUnreadStale;

    #[test]
    fn a_mail_and_nothing_else() {
        insta::assert_snapshot!(planned(IT, json!({"user_id": BO, "unread_count": 3})), @r#"
        to User(BO), project ATLAS, thread BUDGET
          mail Aggregated: You have 3 unread messages in Budget · Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS?tab=chat&thread=BUDGET", project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Budget", thread_topic: "Budget", type: "thread_unread_stale", unread_count: 3}
        "#);
    }

    #[test]
    fn one_unless_it_says_how_many() {
        insta::assert_snapshot!(planned(IT, json!({"user_id": BO, "thread_name": "Rent"})), @r#"
        to User(BO), project ATLAS, thread BUDGET
          mail Aggregated: You have 1 unread message in Rent · Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS?tab=chat&thread=BUDGET", project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Rent", thread_topic: "Rent", type: "thread_unread_stale", unread_count: 1}
        "#);
        let wrong = json!({"user_id": BO, "unread_count": -2, "thread_topic": HOSTILE});
        insta::assert_snapshot!(planned(IT, wrong), @r#"
        to User(BO), project ATLAS, thread BUDGET
          mail Aggregated: You have 1 unread message in [Win](https://evil.example) <img src=x> @all **now** `` # ! · Atlas (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS?tab=chat&thread=BUDGET", project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "HOSTILE", thread_topic: "HOSTILE", type: "thread_unread_stale", unread_count: 1}
        "#);
    }

    #[test]
    fn required_keys() {
        assert_eq!(
            planned(IT, json!({})),
            "invalid thread_unread_stale event: payload.user_id is required"
        );
        assert_eq!(
            planned(IT, json!({"user_id": 7})),
            "invalid thread_unread_stale event: payload.user_id must be a UUID"
        );
        assert_eq!(
            planned_without_columns(IT, json!({"user_id": BO})),
            "invalid thread_unread_stale event: thread_id is required"
        );
    }
}
