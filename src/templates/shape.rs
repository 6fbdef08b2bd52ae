//! What the data of an e-mail must have for the templates of its type.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::text::is_blank;
use crate::handlers::{EventType, MailTemplates};

/// The keys of `pending_emails.body_data`, and whether there is nothing to say without them. They are
/// those of the type's sample.
#[derive(Debug)]
pub(super) struct Shape(BTreeMap<String, Need>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Text,
    Number,
    /// A text or a number, else `null`.
    Optional,
    /// A list of fields, each with a `name` and a `value`, which may be empty.
    Fields,
}

/// The name of the templates that the e-mails of a type share with others.
pub(super) fn shared(mail: &str) -> Option<&'static str> {
    let templates = EventType::from_name(mail)?.mail()?;
    Some(templates.name).filter(|name| *name != mail)
}

impl Shape {
    pub(super) fn new(templates: MailTemplates, sample: &Value) -> Self {
        let pairs = sample.as_object().into_iter().flatten();
        let needs = pairs.map(|(key, value)| {
            let need = match value {
                _ if key == "fields" => Need::Fields,
                Value::Number(_) if templates.needs.contains(&key.as_str()) => Need::Number,
                _ if templates.needs.contains(&key.as_str()) => Need::Text,
                _ => Need::Optional,
            };
            (key.clone(), need)
        });
        Self(needs.collect())
    }

    /// The data with every key of the shape in it; `None` where it has another shape, as what an older
    /// job queued may have.
    pub(super) fn fit(&self, data: &Value) -> Option<Value> {
        let mut data = data.as_object()?.clone();
        for (key, need) in &self.0 {
            let value = data.entry(key).or_insert(Value::Null);
            match need {
                Need::Text if !is_text(value) => return None,
                Need::Number if !value.is_number() => return None,
                Need::Text | Need::Number => {}
                Need::Optional if is_text(value) || value.is_number() => {}
                Need::Optional => *value = Value::Null,
                Need::Fields => *value = fields(value),
            }
        }
        Some(Map::into(data))
    }
}

/// The message to an endpoint, with nothing in it that the templates can't show.
pub(super) fn fit_announcement(data: &mut Value) {
    if let Some(message) = data.get_mut(TO_ENDPOINT) {
        let lines = message["lines"].as_array().map_or(&[][..], Vec::as_slice);
        let lines: Value = lines.iter().filter(|line| is_text(line)).cloned().collect();
        *message = json!({ "lines": lines, "fields": fields(&message["fields"]) });
    }
}

/// The key of a message to an endpoint.
const TO_ENDPOINT: &str = "told";

fn fields(list: &Value) -> Value {
    let entries = list.as_array().map_or(&[][..], Vec::as_slice);
    let is_one = |entry: &&Value| is_text(&entry["name"]) && is_text(&entry["value"]);
    entries.iter().filter(is_one).cloned().collect()
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !is_blank(text))
}
