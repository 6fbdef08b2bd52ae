//! Discord, by webhooks.
//!
//! Limits: <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>.

use serde_json::{Map, Value, json};
use url::Url;

use super::chat::{Chat, ChatMessage, LINK_LABEL, sign};
use super::http::{Answer, Details, retry_after};
use super::registry::RouteVariables;
use super::truncate::{length, lines, truncate, truncate_escaped};
use super::{Field, Severity, Spec};
use crate::domain::text::plain;

const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 4_096;
const FIELDS_MAX: usize = 25;
const FIELD_NAME_MAX: usize = 256;
const FIELD_VALUE_MAX: usize = 1_024;
const FOOTER_MAX: usize = 2_048;
const URL_MAX: usize = 2_048;
/// Of all texts of a message together.
const TOTAL_MAX: usize = 6_000;
/// What is kept free for a last field that says how many there is no room for.
const REST: usize = 32;

#[derive(Debug, Default)]
pub struct Discord;

impl Chat for Discord {
    const SPEC: Spec = Spec {
        route: Some(RouteVariables {
            address: "NOTIFICATIONS_DISCORD_WEBHOOK_URL",
            switch: "NOTIFICATIONS_DISCORD_ENABLED",
            is_list: false,
        }),
        domains: &["discord.com", "discordapp.com"],
        ..Spec::chat("discord", "Discord messages")
    };

    fn body(message: &ChatMessage) -> Value {
        body(message)
    }

    /// `{"code", "message"}`; of a rate limit `{"retry_after"}`, finer than the header's seconds.
    fn details(answer: &Answer) -> Details {
        let body = answer.json();
        let code = body["code"].as_u64().filter(|&code| code > 0);
        let after = body["retry_after"].as_f64();
        Details {
            id: body["id"].as_str().map(str::to_owned),
            code: code.map(|code| code.to_string()).unwrap_or_default(),
            message: body["message"].as_str().unwrap_or_default().to_owned(),
            outcome: None,
            after: after.and_then(retry_after::from_seconds),
        }
    }

    /// The one that answers only when the message is there, with the message.
    fn address(webhook: &Url) -> Url {
        let mut address = webhook.clone();
        let others = webhook.query_pairs().filter(|(key, _)| key != "wait");
        let mut query = address.query_pairs_mut();
        query
            .clear()
            .extend_pairs(others)
            .append_pair("wait", "true");
        drop(query);
        address
    }
}

fn body(message: &ChatMessage) -> Value {
    let mut room = TOTAL_MAX;
    let mut embed = Map::new();
    let mut put = |key: &str, text: String| {
        room -= length(&text);
        if !text.is_empty() {
            embed.insert(key.to_owned(), text.into());
        }
    };
    let link = message.link.as_ref().map(Url::as_str);
    let link = link.filter(|url| url.len() <= URL_MAX);
    let title = format!("{}{}", sign(message.severity), plain(&message.title));
    let title = match title.trim() {
        // Only a title can be a link.
        "" if link.is_some() => LINK_LABEL,
        title => title,
    };
    put("title", truncate_escaped(title, TITLE_MAX, escape));
    // No markup is read here, so there is none to escape.
    let footer = message.footer.as_deref().map(plain).unwrap_or_default();
    put("footer", truncate(&footer, FOOTER_MAX.min(TOTAL_MAX / 8)));
    let text = truncate_escaped(&lines(&message.text), DESCRIPTION_MAX, escape);
    put("description", text);
    if let Some(footer) = embed.get_mut("footer") {
        *footer = json!({ "text": footer });
    }
    if let Some(url) = link {
        embed.insert("url".to_owned(), url.into());
    }
    let fields = shown(&message.fields, room);
    if !fields.is_empty() {
        embed.insert("fields".to_owned(), fields.into());
    }
    if embed.is_empty() {
        // An empty message is refused.
        embed.insert("description".to_owned(), "–".into());
    }
    embed.insert("color".to_owned(), colour(message.severity).into());
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// Red, green, blue.
fn colour(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 0x3b_82f6,
        Severity::Success => 0x16_a34a,
        Severity::Warning => 0xf5_9e0b,
        Severity::Critical => 0xdc_2626,
    }
}

/// The fields, as many as there is room for; the last one says how many there is none for.
fn shown(fields: &[Field], mut room: usize) -> Vec<Value> {
    let mut shown = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        let left = fields.len() - at;
        let last = left == 1;
        let here = if last {
            room
        } else {
            room.saturating_sub(REST)
        };
        let name = truncate_escaped(&plain(&field.name), FIELD_NAME_MAX, escape);
        let name = or_dash(name);
        let space = here.saturating_sub(length(&name)).min(FIELD_VALUE_MAX);
        let value = or_dash(truncate_escaped(&lines(&field.value), space, escape));
        let size = length(&name) + length(&value);
        if size > here || shown.len() == FIELDS_MAX - 1 && !last {
            let rest = format!("and {left} more");
            if room > rest.len() {
                shown.push(json!({ "name": "…", "value": rest }));
            }
            break;
        }
        room -= size;
        let inline = length(&value) <= 40;
        shown.push(json!({ "name": name, "value": value, "inline": inline }));
    }
    shown
}

/// Name and value of a field must not be empty.
fn or_dash(text: String) -> String {
    if text.is_empty() {
        "–".to_owned()
    } else {
        text
    }
}

/// What begins markup, a mention or a link with a text of its own. A list may stay a list.
fn escape(c: char, out: &mut String) {
    if r"\`*_~|>#[]<".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::channels::samples::{field, outline};

    #[test]
    fn request() {
        let message = ChatMessage {
            title: "Node gpu_7 is *degraded*".to_owned(),
            text: "@everyone [look](https://evil.example)\n\n- <@123> one\n- two".to_owned(),
            fields: vec![field("Health", "0.4"), field("", "")],
            severity: Severity::Warning,
            link: "https://app.example/nodes/7".parse().ok(),
            footer: Some("production".to_owned()),
        };
        let body_of = body(&message);
        assert_eq!(body_of["allowed_mentions"], json!({ "parse": [] }));
        insta::assert_snapshot!(outline(&body_of["embeds"][0]), @r#"
        color: 16096779
        description: "@everyone \\[look\\](https://evil.example)\n\n- \\<@123\\> one\n- two"
        fields: {"inline":true,"name":"Health","value":"0.4"}
        fields: {"inline":true,"name":"–","value":"–"}
        footer: {"text":"production"}
        title: "⚠️ Node gpu\\_7 is \\*degraded\\*"
        url: "https://app.example/nodes/7"
        "#);
        let empty = body(&ChatMessage::default());
        insta::assert_snapshot!(empty["embeds"], @r#"[{"color":3900150,"description":"–"}]"#);
    }

    #[test]
    fn addresses_wait() {
        let address = |url: &str| Discord::address(&url.parse().expect("an address")).to_string();
        insta::assert_snapshot!(address("https://discord.com/api/webhooks/1/abc"), @"https://discord.com/api/webhooks/1/abc?wait=true");
        insta::assert_snapshot!(address("https://discord.com/api/webhooks/1/abc?wait=false&thread_id=2"), @"https://discord.com/api/webhooks/1/abc?thread_id=2&wait=true");
    }

    /// What Discord publishes as limits, checked on the finished body.
    pub(in crate::channels) fn assert_limits(body: &Value) {
        let embed = &body["embeds"][0];
        let size = |value: &Value| value.as_str().map_or(0, length);
        let footer = size(&embed["footer"]["text"]);
        let mut total = size(&embed["title"]) + size(&embed["description"]) + footer;
        assert!(size(&embed["title"]) <= 256);
        assert!(size(&embed["description"]) <= 4_096);
        assert!(size(&embed["url"]) <= 2_048);
        assert!(footer <= 2_048);
        let fields = embed["fields"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 25);
        for field in fields {
            assert!((1..=256).contains(&size(&field["name"])));
            assert!((1..=1_024).contains(&size(&field["value"])));
            total += size(&field["name"]) + size(&field["value"]);
        }
        assert!((1..=6_000).contains(&total), "{total}");
    }

    #[test]
    fn the_last_field_counts_those_that_do_not_fit() {
        let last = |fields| {
            let message = ChatMessage {
                fields,
                ..ChatMessage::default()
            };
            let fields = body(&message)["embeds"][0]["fields"].take();
            let fields = fields.as_array().expect("fields");
            (fields.len(), fields[fields.len() - 1]["value"].clone())
        };
        let many = vec![field("n", "v"); 40];
        assert_eq!(last(many), (25, json!("and 16 more")));
        let long = field("n", &"*".repeat(2_000));
        assert_eq!(last(vec![long; 30]), (7, json!("and 24 more")));
    }
}
