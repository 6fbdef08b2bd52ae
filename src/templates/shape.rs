//! What the data of a mail has to have for the templates of its type.

use serde_json::{Map, Value, json};

use crate::domain::text::is_blank;
use crate::handlers::EventType;

/// The keys of `pending_emails.body_data`, besides `type` and `link_url`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Texts without which there is nothing to say.
    pub(super) texts: &'static [&'static str],
    /// Numbers without which there is nothing to say.
    pub(super) numbers: &'static [&'static str],
    /// Texts and numbers that may be absent or `null`.
    pub(super) optional: &'static [&'static str],
    /// Lists of particulars, each with a `name` and a `value`; they may be absent.
    pub(super) lists: &'static [&'static str],
    /// What is there for others, not for the templates.
    pub(super) unused: &'static [&'static str],
}

/// Of an operator event.
const OPERATOR: Shape = Shape {
    texts: &["severity"],
    numbers: &[],
    optional: &["text", "org_id", "org_name", "project_id", "project_name"],
    lists: &["fields"],
    unused: &[],
};

/// The name of the templates that the mails of a type share with others.
pub(super) fn shared(mail: &str) -> Option<&'static str> {
    EventType::from_name(mail)?.dotted().map(|_| "operator")
}

/// The shape of a type's mails; `None` for a type without mails, or without templates.
pub(super) fn of(event_type: EventType) -> Option<Shape> {
    Some(match event_type {
        EventType::DocumentUploaded => Shape {
            texts: &["uploader_name", "resource_name"],
            numbers: &[],
            optional: &["uploader_id", "resource_id", "project_id", "project_name"],
            lists: &[],
            unused: &["file_name"],
        },
        EventType::ThreadUnreadStale => Shape {
            texts: &[],
            numbers: &["unread_count"],
            optional: &["thread_id", "thread_name", "project_id", "project_name"],
            lists: &[],
            unused: &["thread_topic"],
        },
        EventType::ResumeIncompleteNudge => Shape {
            texts: &["resume_type"],
            numbers: &["completion_percent"],
            optional: &["user_id", "nudge_tier", "project_id", "project_name"],
            lists: &[],
            unused: &["resume_type_label"],
        },
        EventType::InviteAccepted => Shape {
            texts: &["new_member_name"],
            numbers: &[],
            optional: &["new_member_id", "new_member_email", "org_id", "org_name"],
            lists: &[],
            unused: &[],
        },
        EventType::ProjectAccessGranted => Shape {
            texts: &["new_permission"],
            numbers: &[],
            optional: &["actor_id", "actor_name", "project_id", "project_name"],
            lists: &[],
            unused: &[],
        },
        EventType::ProjectAccessChanged => Shape {
            texts: &[],
            numbers: &[],
            optional: &[
                "actor_id",
                "actor_name",
                "project_id",
                "project_name",
                "old_permission",
                "new_permission",
            ],
            lists: &[],
            unused: &[],
        },
        EventType::MarginAlert | EventType::AlertTriggered => Shape {
            unused: &["guards"],
            ..OPERATOR
        },
        operator if operator.dotted().is_some() => OPERATOR,
        // The generic templates do for a type until it has its own.
        _ => return None,
    })
}

impl Shape {
    /// The data with every key of the shape in it, `null` where there is no value; `None` where it
    /// is of another shape, as what an older job queued may be.
    pub(super) fn fit(self, data: &Value) -> Option<Value> {
        let mut data = data.as_object()?.clone();
        let is_text = |key: &&str| data.get(*key).is_some_and(is_text);
        let is_number = |key: &&str| data.get(*key).is_some_and(Value::is_number);
        if !(self.texts.iter().all(is_text) && self.numbers.iter().all(is_number)) {
            return None;
        }
        for key in self.optional {
            complete(&mut data, key);
        }
        for key in self.unused {
            data.remove(*key);
        }
        for key in self.lists {
            let list = data.entry(*key).or_insert(Value::Null);
            *list = particulars(list);
        }
        Some(data.into())
    }
}

/// The announcement to an endpoint, with nothing in it that the templates can't show.
pub(super) fn fit_announcement(data: &mut Value) {
    if let Some(told) = data.get_mut("told") {
        let lines = told["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let lines: Value = lines.iter().filter(|line| is_text(line)).cloned().collect();
        *told = json!({ "lines": lines, "fields": particulars(&told["fields"]) });
    }
}

fn complete(data: &mut Map<String, Value>, key: &str) {
    let value = data.entry(key).or_insert(Value::Null);
    if !(is_text(value) || value.is_number()) {
        *value = Value::Null;
    }
}

fn particulars(list: &Value) -> Value {
    let entries = list.as_array().map_or(&[][..], Vec::as_slice);
    let is_one = |entry: &&Value| is_text(&entry["name"]) && is_text(&entry["value"]);
    entries.iter().filter(is_one).cloned().collect()
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !is_blank(text))
}
