//! A message was sent in a chat thread: whoever it mentions hears of it at once, the other
//! participants hear how many they have not read.
//!
//! Optional keys: `mentioned_user_ids`, `full_content`, `message_content`, `preview`,
//! `sender_name` or `actor_name`, and those of a [`Thread`].

use uuid::Uuid;

use super::draft::{self, Draft, Style, object};
use super::entity::{Entity, NamedEntity};
use super::thread::{NamedThread, Thread};
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, InApp, Notification, Plan};
use crate::domain::text;

/// Room for the count that stands in front of a title: as many digits as an `i32` has.
const COUNT_MAX: usize = 10;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ChatMessageSent {
    thread: Thread,
    sender: Entity,
    mentioned: Vec<Uuid>,
    content: Option<String>,
    preview: Option<String>,
}

impl ChatMessageSent {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let content = fields.first_text(&["full_content", "message_content", "preview"]);
        let preview = fields.first_text(&["preview", "message_content", "full_content"]);
        Ok(Self {
            thread: Thread::decode(fields)?,
            sender: Entity::person(fields, fields.row.actor_id, &["sender_name", "actor_name"]),
            mentioned: fields.uuids("mentioned_user_ids")?,
            content: content.map(|text| text::clip(text, text::MESSAGE_MAX)),
            preview: preview.map(|text| text::clip(text, text::MESSAGE_MAX)),
        })
    }

    fn mention(&self, who: NamedEntity<'_>, thread: NamedThread<'_>) -> Plan {
        let format = thread.rendering.body_format;
        let data = object! {
            ..thread.data("mention"),
            "sender_id": who.id,
            "sender_name": who.words,
        };
        let draft = Draft::new(format, thread.link(), data, |style| {
            format!(
                "{} mentioned you in {}",
                style.name(who.words),
                thread.place(style)
            )
        });
        let draft = match &self.content {
            Some(content) => draft.with_body(format.message(content)),
            None => draft,
        };
        Plan {
            audience: Audience::ThreadMentions {
                thread_id: self.thread.id,
                user_ids: self.mentioned.clone(),
            },
            actor_id: who.id,
            scopes: thread.scopes(),
            in_app: draft.in_app(),
            email: None,
            once_key: None,
        }
    }

    fn activity(&self, who: NamedEntity<'_>, thread: NamedThread<'_>) -> Plan {
        let unread = |style| format!(" unread in {}", thread.place(style));
        let format = thread.rendering.body_format;
        let preview = self.preview.as_deref().map_or_else(
            || ".".to_owned(),
            |preview| format!(": {}", format.preview(preview)),
        );
        Plan {
            audience: Audience::ThreadParticipants {
                thread_id: self.thread.id,
                except: self.mentioned.clone(),
            },
            actor_id: who.id,
            scopes: thread.scopes(),
            in_app: InApp::Coalesced {
                key: format!("thread_activity:{}", self.thread.id),
                message: Notification {
                    title: draft::title(text::TITLE_MAX - COUNT_MAX, unread),
                    body: Some(format!(
                        "{}, the latest from {}{preview}",
                        unread(Style::Body(format)),
                        format.bold(who.words),
                    )),
                    link_url: Some(thread.link()),
                    payload: thread.data("thread_activity"),
                },
            },
            email: None,
            once_key: None,
        }
    }
}

impl Handler for ChatMessageSent {
    fn lookups(&self, lookups: &mut Lookups) {
        self.thread.lookups(lookups);
        lookups.extend([&self.sender]);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let thread = self.thread.named(names);
        let [who] = names.of([&self.sender]);
        let mention = (!self.mentioned.is_empty()).then(|| self.mention(who, thread));
        let activity = self.activity(who, thread);
        mention.into_iter().chain([activity]).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{
        BO, BUDGET, CY, HOSTILE, planned, planned_row, planned_without_columns,
    };
    use crate::domain::event::EventRow;

    const IT: EventType = EventType::ChatMessageSent;

    #[test]
    fn nobody_is_mentioned() {
        insta::assert_snapshot!(planned(IT, json!({"preview": "Hello"})), @r#"
        to ThreadParticipants { thread_id: BUDGET, except: [] } but ADA, project ATLAS, thread BUDGET
          app by thread_activity:BUDGET:  unread in Budget · Atlas
             unread in **Budget** · **Atlas**, the latest from **Ada**: Hello
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Budget", type: "thread_activity"}
        "#);
    }

    #[test]
    fn somebody_is_mentioned() {
        insta::assert_snapshot!(planned(IT, json!({
            "mentioned_user_ids": [BO, CY, BO, "nobody"],
            "full_content": "@Bo, see:\n\n- *all*\n- of it",
            "message_content": "@Bo, see",
            "preview": "@Bo…",
        })), @r#"
        to ThreadMentions { thread_id: BUDGET, user_ids: [BO, CY] } but ADA, project ATLAS, thread BUDGET
          app each: Ada mentioned you in Budget · Atlas
            @Bo, see:

        - *all*
        - of it
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", sender_id: "ADA", sender_name: "Ada", thread_id: "BUDGET", thread_name: "Budget", type: "mention"}
        to ThreadParticipants { thread_id: BUDGET, except: [BO, CY] } but ADA, project ATLAS, thread BUDGET
          app by thread_activity:BUDGET:  unread in Budget · Atlas
             unread in **Budget** · **Atlas**, the latest from **Ada**: @Bo…
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Budget", type: "thread_activity"}
        "#);
    }

    #[test]
    fn mentions_stay_in_bodies_and_are_names_in_titles() {
        let mention = format!("@[Cy Young](user:{CY})");
        insta::assert_snapshot!(planned(IT, json!({
            "mentioned_user_ids": [BO],
            "full_content": format!("{mention} **has** it"),
            "thread_topic": format!("Ask {mention}"),
        })), @r#"
        to ThreadMentions { thread_id: BUDGET, user_ids: [BO] } but ADA, project ATLAS, thread BUDGET
          app each: Ada mentioned you in Ask Cy Young · Atlas
            @[Cy Young](user:CY) has it
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", sender_id: "ADA", sender_name: "Ada", thread_id: "BUDGET", thread_name: "Ask @[Cy Young](user:CY)", type: "mention"}
        to ThreadParticipants { thread_id: BUDGET, except: [BO] } but ADA, project ATLAS, thread BUDGET
          app by thread_activity:BUDGET:  unread in Ask Cy Young · Atlas
             unread in **Ask Cy Young** · **Atlas**, the latest from **Ada**: @[Cy Young](user:CY) has it
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Ask @[Cy Young](user:CY)", type: "thread_activity"}
        "#);
    }

    #[test]
    fn without_words() {
        insta::assert_snapshot!(planned(IT, json!({
            "mentioned_user_ids": [BO],
            "full_content": 5,
            "preview": "\u{202e}",
        })), @r#"
        to ThreadMentions { thread_id: BUDGET, user_ids: [BO] } but ADA, project ATLAS, thread BUDGET
          app each: Ada mentioned you in Budget · Atlas
            **Ada** mentioned you in **Budget** · **Atlas**.
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", sender_id: "ADA", sender_name: "Ada", thread_id: "BUDGET", thread_name: "Budget", type: "mention"}
        to ThreadParticipants { thread_id: BUDGET, except: [BO] } but ADA, project ATLAS, thread BUDGET
          app by thread_activity:BUDGET:  unread in Budget · Atlas
             unread in **Budget** · **Atlas**, the latest from **Ada**.
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "Atlas", thread_id: "BUDGET", thread_name: "Budget", type: "thread_activity"}
        "#);
    }

    #[test]
    fn without_a_project() {
        let row = EventRow {
            thread_id: Some(BUDGET),
            ..EventRow::default()
        };
        let payload = json!({"thread_name": "Rent", "message_content": "Hi"});
        insta::assert_snapshot!(planned_row(IT, row, payload), @r#"
        to ThreadParticipants { thread_id: BUDGET, except: [] }, thread BUDGET
          app by thread_activity:BUDGET:  unread in Rent
             unread in **Rent**, the latest from **Someone**: Hi
            /dashboard?tab=chat&thread=BUDGET
            {project_id: null, project_name: null, thread_id: "BUDGET", thread_name: "Rent", type: "thread_activity"}
        "#);
    }

    #[test]
    fn hostile_and_long() {
        insta::assert_snapshot!(planned(IT, json!({
            "sender_name": HOSTILE,
            "thread_topic": "t".repeat(500),
            "project_name": HOSTILE.repeat(5),
            "message_content": "word ".repeat(99),
        })), @r#"
        to ThreadParticipants { thread_id: BUDGET, except: [] } but ADA, project ATLAS, thread BUDGET
          app by thread_activity:BUDGET:  unread in ttttttttttttttttttttttttttttttttttttttt… · [Win](https://evil.example) <img src=x>…
             unread in **ttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt…** · **[Win](https://evil.example) <img src=x> @all now `` # ![Win](https://evil.example) <img src=x> @all now `` # ![…**, the latest from **[Win](https://evil.example) <img src=x> @all now `` # !**: word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word word…
            /project/workspace/ATLAS?tab=chat&thread=BUDGET
            {project_id: "ATLAS", project_name: "HOSTILEHOSTILE[Win](https://ev…, thread_id: "BUDGET", thread_name: "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt…, type: "thread_activity"}
        "#);
    }

    #[test]
    fn a_thread_is_required() {
        assert_eq!(
            planned_without_columns(IT, json!({"thread_id": BUDGET})),
            "invalid chat_message_sent event: thread_id is required"
        );
    }
}
