//! A message was sent in a chat thread: whoever it mentions is notified of it, the other participants
//! of how many they have not read.

use serde_json::json;
use uuid::Uuid;

use super::draft::{self, Draft, Style, object};
use super::entity::Entity;
use super::payload::payload;
use super::sample::{self, ADA, CHECKLIST, CHIARA, Column, DEV, GRACE, QUAYSIDE};
use super::thread::Thread;
use super::{Event, Names};
use crate::domain::event::EventRow;
use crate::domain::plan::{Audience, InApp, Notification, Plan};
use crate::domain::text;

/// Room for the count that stands in front of a title: as many digits as an `i32` has.
const COUNT_MAX: usize = 10;

payload! {
    pub(super) struct ChatMessageSent {
        thread: Thread,
        sender: Entity = |fields| Ok(Entity::actor(fields, &["sender_name", "actor_name"])),
        mentioned_user_ids: Vec<Uuid>,
        content: Option<String> = |fields| {
            let text = fields.first_text(&["full_content", "message_content", "preview"]);
            Ok(text.map(|text| text::clip(&text, text::MESSAGE_MAX)))
        },
        preview: Option<String> = |fields| {
            let text = fields.first_text(&["preview", "message_content", "full_content"]);
            Ok(text.map(|text| text::clip(&text, text::MESSAGE_MAX)))
        },
    }
}

impl ChatMessageSent {
    fn mention(&self, names: &Names) -> Plan {
        let [sender] = names.of([&self.sender]);
        let data = object! {
            ..self.thread.data(names, "mention"),
            "sender_id": sender.id,
            "sender_name": sender.label,
        };
        let mut draft = Draft::new(names, self.thread.link(names), data, |style| {
            let (who, place) = (style.name(sender.label), self.thread.place(names, style));
            format!("{who} mentioned you in {place}")
        });
        if let Some(content) = &self.content {
            draft.body = names.body_format().message(content);
        }
        let audience = Audience::ThreadMentions {
            thread_id: self.thread.id,
            user_ids: self.mentioned_user_ids.clone(),
        };
        Plan {
            actor_id: sender.id,
            in_app: draft.in_app(),
            ..Plan::new(audience, self.thread.scopes())
        }
    }

    fn activity(&self, names: &Names) -> Plan {
        let [sender] = names.of([&self.sender]);
        let format = names.body_format();
        let unread = |style| format!(" unread in {}", self.thread.place(names, style));
        let (where_, who) = (unread(Style::Body(format)), format.bold(sender.label));
        let preview = self.preview.as_ref();
        let preview = preview.map(|preview| format!(": {}", format.preview(preview)));
        let preview = preview.as_deref().unwrap_or(".");
        let audience = Audience::ThreadParticipants {
            thread_id: self.thread.id,
            except: self.mentioned_user_ids.clone(),
        };
        Plan {
            actor_id: sender.id,
            in_app: InApp::Coalesced {
                key: format!("thread_activity:{}", self.thread.id),
                message: Notification {
                    title: draft::title(text::TITLE_MAX - COUNT_MAX, unread),
                    body: Some(format!("{where_}, the latest from {who}{preview}")),
                    link_url: Some(self.thread.link(names)),
                    payload: self.thread.data(names, "thread_activity"),
                },
            },
            ..Plan::new(audience, self.thread.scopes())
        }
    }
}

impl Event for ChatMessageSent {
    const ALIAS: Option<&'static str> = Some("chat_message");

    fn samples() -> Vec<EventRow> {
        let message = |actor, payload| {
            let columns = [
                Column::Actor(actor),
                Column::Project(QUAYSIDE),
                Column::Thread(CHECKLIST),
            ];
            sample::event(columns, payload)
        };
        vec![
            // Hugo has muted the thread; Bruno only all the others.
            message(ADA, json!({"preview": "Title insurance is in."})),
            // Grace is mentioned; so is Dev, who is not in the thread. Bruno's count rises to two.
            message(
                CHIARA,
                json!({
                    "full_content": "@Grace could you look over the *final* survey?",
                    "mentioned_user_ids": [GRACE, DEV],
                }),
            ),
        ]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let has_mention = !self.mentioned_user_ids.is_empty();
        let mention = has_mention.then(|| self.mention(names));
        mention.into_iter().chain([self.activity(names)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType::ChatMessageSent as IT;
    use super::super::fixture::{planned, planned_with, with};
    use super::super::sample::BRUNO;
    use super::EventRow;

    #[test]
    fn message() {
        insta::assert_snapshot!(planned_with(IT, json!({})), @r#"
        to ThreadParticipants { thread_id: CHECKLIST, except: [] } but ADA, project QUAYSIDE, thread CHECKLIST, in app by thread_activity:CHECKLIST
           unread in Closing checklist · Quayside Lofts
           unread in **Closing checklist** · **Quayside Lofts**, the latest from **Ada Okafor**: Title insurance is in.
          /project/workspace/QUAYSIDE?tab=chat&thread=CHECKLIST
          {project_id: "QUAYSIDE", project_name: "Quayside Lofts", thread_id: "CHECKLIST", thread_name: "Closing checklist", type: "thread_activity"}
        "#);
    }

    #[test]
    fn mentions_stay_in_bodies_and_are_names_in_titles() {
        let mention = format!("@[Cy Young](user:{BRUNO})");
        insta::assert_snapshot!(planned_with(IT, json!({
            "mentioned_user_ids": [BRUNO, BRUNO, "nobody"],
            "full_content": format!("{mention} **has** it"),
            "preview": 5,
            "thread_topic": format!("Ask {mention}"),
        })), @r#"
        to ThreadMentions { thread_id: CHECKLIST, user_ids: [BRUNO] } but ADA, project QUAYSIDE, thread CHECKLIST, in app
          Ada Okafor mentioned you in Ask Cy Young · Quayside Lofts
          @[Cy Young](user:BRUNO) has it
          /project/workspace/QUAYSIDE?tab=chat&thread=CHECKLIST
          {project_id: "QUAYSIDE", project_name: "Quayside Lofts", sender_id: "ADA", sender_name: "Ada Okafor", thread_id: "CHECKLIST", thread_name: "Ask @[Cy Young](user:BRUNO)", type: "mention"}
        to ThreadParticipants { thread_id: CHECKLIST, except: [BRUNO] } but ADA, project QUAYSIDE, thread CHECKLIST, in app by thread_activity:CHECKLIST
           unread in Ask Cy Young · Quayside Lofts
           unread in **Ask Cy Young** · **Quayside Lofts**, the latest from **Ada Okafor**: @[Cy Young](user:BRUNO) has it
          /project/workspace/QUAYSIDE?tab=chat&thread=CHECKLIST
          {project_id: "QUAYSIDE", project_name: "Quayside Lofts", thread_id: "CHECKLIST", thread_name: "Ask @[Cy Young](user:BRUNO)", type: "thread_activity"}
        "#);
    }

    #[test]
    fn a_message_may_have_no_text_and_no_project() {
        let row = EventRow {
            project_id: None,
            actor_id: None,
            ..with(
                IT,
                json!({"mentioned_user_ids": [BRUNO], "preview": "\u{202e}"}),
            )
        };
        insta::assert_snapshot!(planned(IT, &row), @r#"
        to ThreadMentions { thread_id: CHECKLIST, user_ids: [BRUNO] }, thread CHECKLIST, in app
          Someone mentioned you in Closing checklist
          **Someone** mentioned you in **Closing checklist**.
          /dashboard?tab=chat&thread=CHECKLIST
          {project_id: null, project_name: null, sender_id: null, sender_name: "Someone", thread_id: "CHECKLIST", thread_name: "Closing checklist", type: "mention"}
        to ThreadParticipants { thread_id: CHECKLIST, except: [BRUNO] }, thread CHECKLIST, in app by thread_activity:CHECKLIST
           unread in Closing checklist
           unread in **Closing checklist**, the latest from **Someone**.
          /dashboard?tab=chat&thread=CHECKLIST
          {project_id: null, project_name: null, thread_id: "CHECKLIST", thread_name: "Closing checklist", type: "thread_activity"}
        "#);
    }

    #[test]
    fn long_names_and_messages_are_truncated() {
        let planned = planned_with(
            IT,
            json!({
                "thread_topic": "t".repeat(500),
                "project_name": "p".repeat(500),
                "preview": "word ".repeat(99),
            }),
        );
        let lines = planned
            .lines()
            .skip(1)
            .map(|line| line.chars().count().to_string());
        insta::assert_snapshot!(lines.take(2).collect::<Vec<_>>().join(" "), @"96 578");
    }
}
