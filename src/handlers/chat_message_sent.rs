//! A message was sent in a chat thread: whoever it mentions is notified of it, the other participants
//! of how many they have not read.

use super::draft::{self, Style};
use super::prelude::*;
use super::sample::{ADA, CHECKLIST, CHIARA, DEV, GRACE, QUAYSIDE};
use super::thread::Thread;
use crate::domain::plan::{InApp, Notification};
use crate::domain::text;

/// Room for the count that stands in front of a title: as many digits as an `i32` has.
const COUNT_MAX: usize = 10;

payload! {
    pub(super) struct ChatMessageSent {
        thread: Thread,
        sender: Entity = |fields| Ok(Entity::actor(fields, &["sender_name", "actor_name"])),
        mentioned_user_ids: Vec<Uuid>,
        content: Option<String> = |fields| {
            Ok(first_text(fields, &["full_content", "message_content", "preview"]))
        },
        preview: Option<String> = |fields| {
            Ok(first_text(fields, &["preview", "message_content", "full_content"]))
        },
    }
}

fn first_text(fields: Fields<'_>, keys: &[&str]) -> Option<String> {
    let text = fields.first_text(keys)?;
    Some(text::clip(&text, text::MESSAGE_MAX))
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
            ..draft.plan(audience, self.thread.scopes())
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
        // Hugo has muted the thread; Bruno only all the others.
        let activity = json!({"preview": "Title insurance is in."});
        // Grace is mentioned; so is Dev, who is not in the thread. Bruno's count rises to two.
        let mentions = json!({
            "full_content": "@Grace could you look over the *final* survey?",
            "mentioned_user_ids": [GRACE, DEV],
        });
        vec![
            sample::event([ADA, QUAYSIDE, CHECKLIST], activity),
            sample::event([CHIARA, QUAYSIDE, CHECKLIST], mentions),
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
    use super::super::EventType::ChatMessageSent as IT;
    use super::super::fixture::{planned, planned_with, sample, with};
    use super::super::sample::BRUNO;
    use super::{EventRow, json};

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
            ..sample(IT)
        };
        let blank = json!({"mentioned_user_ids": [BRUNO], "preview": "\u{202e}"});
        let planned = planned(IT, &with(row, blank));
        let lines = planned.lines().filter(|line| !line.contains('{'));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
          Someone mentioned you in Closing checklist
          **Someone** mentioned you in **Closing checklist**.
          /dashboard?tab=chat&thread=CHECKLIST
           unread in Closing checklist
           unread in **Closing checklist**, the latest from **Someone**.
          /dashboard?tab=chat&thread=CHECKLIST
        ");
    }
}
