//! A person has left messages in a thread unread for long: an e-mail reminds them. Nothing appears
//! in the application, which shows the messages anyway.

use super::prelude::*;
use super::sample::{CHECKLIST, CHIARA, QUAYSIDE};
use super::thread::Thread;

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
        let payload = json!({"user_id": CHIARA, "unread_count": 4});
        vec![sample::event([QUAYSIDE, CHECKLIST], payload)]
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
    use super::super::EventType::ThreadUnreadStale as IT;
    use super::super::fixture::planned_with;
    use super::json;

    #[test]
    fn a_count_that_is_none_is_one() {
        for count in [json!(null), json!(0), json!(-3), json!(1.5), json!("2")] {
            let planned = planned_with(IT, json!({"unread_count": count}));
            assert!(planned.contains("1 unread message in"), "{planned}");
        }
    }
}
