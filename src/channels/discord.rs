//! Discord, by webhooks.
//!
//! Limits: <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>.

use serde_json::{Map, Value, json};
use url::Url;

use super::chat::{Chat, ChatMessage, Look};
use super::http::{Answer, Details, retry_after};
use super::truncate::{length, lines, truncate, truncate_escaped};
use super::{Field, RouteVariables};
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

#[derive(Debug)]
pub struct Discord;

impl Chat for Discord {
    const NAME: &'static str = "discord";
    const MESSAGES: &'static str = "Discord messages";
    const ROUTE: Option<RouteVariables> = Some(RouteVariables {
        address: "NOTIFICATIONS_DISCORD_WEBHOOK_URL",
        switch: "NOTIFICATIONS_DISCORD_ENABLED",
        is_list: false,
    });
    const DOMAINS: &'static [&'static str] = &["discord.com", "discordapp.com"];

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

    fn address(webhook: &Url) -> Url {
        waiting(webhook)
    }
}

/// The address that answers only when the message is there, with the message.
fn waiting(url: &Url) -> Url {
    let mut waiting = url.clone();
    let others: Vec<_> = url.query_pairs().filter(|(key, _)| key != "wait").collect();
    waiting
        .query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("wait", "true");
    waiting
}

fn body(message: &ChatMessage) -> Value {
    let mut room = TOTAL_MAX;
    let mut take = |text: String| {
        room -= length(&text);
        Some(text).filter(|text| !text.is_empty())
    };
    let mut embed = Map::new();
    let link = message
        .link
        .as_ref()
        .filter(|link| link.url.as_str().len() <= URL_MAX);
    let mut title = format!("{}{}", message.severity.sign(), plain(&message.title));
    if let Some(link) = link {
        // Only a title can be a link.
        if title.trim().is_empty() {
            title = plain(&link.label);
        }
        if title.is_empty() {
            link.url.as_str().clone_into(&mut title);
        }
        embed.insert("url".to_owned(), link.url.as_str().into());
    }
    if let Some(title) = take(truncate_escaped(title.trim(), TITLE_MAX, escape)) {
        embed.insert("title".to_owned(), title.into());
    }
    // No markup is read here, so there is none to escape.
    let footer = message.footer.as_deref().map(plain).unwrap_or_default();
    let footer = take(truncate(&footer, FOOTER_MAX.min(TOTAL_MAX / 8)));
    let text = truncate_escaped(&lines(&message.text), DESCRIPTION_MAX, escape);
    if let Some(text) = take(text) {
        embed.insert("description".to_owned(), text.into());
    }
    let fields = shown(&message.fields, room);
    if !fields.is_empty() {
        embed.insert("fields".to_owned(), fields.into());
    }
    if let Some(footer) = footer {
        embed.insert("footer".to_owned(), json!({ "text": footer }));
    }
    if embed.is_empty() {
        // An empty message is refused.
        embed.insert("description".to_owned(), "–".into());
    }
    embed.insert("color".to_owned(), message.severity.colour().into());
    json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
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
        let name = or_dash(truncate_escaped(
            &plain(&field.name),
            FIELD_NAME_MAX,
            escape,
        ));
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
mod tests {
    use super::*;
    use crate::channels::{Link, Severity};
    use proptest::prelude::*;

    fn field_of(name: &str, value: &str) -> Field {
        Field {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn request() {
        let message = ChatMessage {
            title: "Node gpu_7 is *degraded*".to_owned(),
            text: "@everyone [look](https://evil.example)\n\n- <@123> one\n- two".to_owned(),
            fields: vec![field_of("Health", "0.4"), field_of("", "")],
            severity: Severity::Warning,
            link: Some(Link {
                label: "Open".to_owned(),
                url: "https://app.example/nodes/7".parse().expect("an address"),
            }),
            footer: Some("production".to_owned()),
        };
        insta::assert_json_snapshot!(body(&message), @r#"
        {
          "allowed_mentions": {
            "parse": []
          },
          "embeds": [
            {
              "color": 16096779,
              "description": "@everyone \\[look\\](https://evil.example)\n\n- \\<@123\\> one\n- two",
              "fields": [
                {
                  "inline": true,
                  "name": "Health",
                  "value": "0.4"
                },
                {
                  "inline": true,
                  "name": "–",
                  "value": "–"
                }
              ],
              "footer": {
                "text": "production"
              },
              "title": "⚠️ Node gpu\\_7 is \\*degraded\\*",
              "url": "https://app.example/nodes/7"
            }
          ]
        }
        "#);
        insta::assert_json_snapshot!(body(&ChatMessage::default()), @r#"
        {
          "allowed_mentions": {
            "parse": []
          },
          "embeds": [
            {
              "color": 3900150,
              "description": "–"
            }
          ]
        }
        "#);
    }

    #[test]
    fn addresses_wait() {
        let waiting = |url: &str| waiting(&url.parse().expect("an address")).to_string();
        insta::assert_snapshot!(waiting("https://discord.com/api/webhooks/1/abc"), @"https://discord.com/api/webhooks/1/abc?wait=true");
        insta::assert_snapshot!(waiting("https://discord.com/api/webhooks/1/abc?wait=false&thread_id=2"), @"https://discord.com/api/webhooks/1/abc?thread_id=2&wait=true");
    }

    /// What Discord publishes as limits, checked on the finished body.
    fn keeps_the_limits(body: &Value) {
        let embed = &body["embeds"][0];
        let size = |value: &Value| value.as_str().map_or(0, length);
        let mut total =
            size(&embed["title"]) + size(&embed["description"]) + size(&embed["footer"]["text"]);
        assert!(size(&embed["title"]) <= 256);
        assert!(size(&embed["description"]) <= 4_096);
        assert!(size(&embed["footer"]["text"]) <= 2_048);
        for field in embed["fields"].as_array().into_iter().flatten() {
            assert!((1..=256).contains(&size(&field["name"])));
            assert!((1..=1_024).contains(&size(&field["value"])));
            total += size(&field["name"]) + size(&field["value"]);
        }
        assert!(
            embed["fields"]
                .as_array()
                .is_none_or(|fields| fields.len() <= 25)
        );
        assert!((1..=6_000).contains(&total), "{total}");
    }

    #[test]
    fn too_much_of_everything_is_cut() {
        let long = "*ab*👩‍👧 ".repeat(2_000);
        let many = ChatMessage {
            fields: (0..40).map(|n| field_of(&format!("n{n}"), "v")).collect(),
            ..ChatMessage::default()
        };
        let body_of_many = body(&many);
        keeps_the_limits(&body_of_many);
        let fields = body_of_many["embeds"][0]["fields"]
            .as_array()
            .expect("fields");
        assert_eq!(
            (fields.len(), &fields[24]["value"]),
            (25, &json!("and 16 more"))
        );

        let message = ChatMessage {
            title: long.clone(),
            text: long.clone(),
            fields: (0..30).map(|_| field_of(&long, &long)).collect(),
            severity: Severity::Critical,
            link: Some(Link {
                label: long.clone(),
                url: format!("https://app.example/{}", "x".repeat(4_000))
                    .parse()
                    .expect("an address"),
            }),
            footer: Some(long),
        };
        let body = body(&message);
        keeps_the_limits(&body);
        assert!(body["embeds"][0].get("url").is_none());
        let last = body["embeds"][0]["fields"]
            .as_array()
            .and_then(|fields| fields.last())
            .expect("a field");
        insta::assert_snapshot!(last["value"].as_str().expect("a value"), @"and 29 more");
    }

    proptest! {
        #[test]
        fn any_message_keeps_the_limits(
            title in "\\PC{0,300}", text in "[*_a\\n]{0,5000}", name in "[*a]{0,300}", value in "[_b👩]{0,1500}",
            count in 0_usize..40, footer in proptest::option::of("\\PC{0,3000}"),
        ) {
            keeps_the_limits(&body(&ChatMessage {
                title, text, footer,
                fields: vec![Field { name, value }; count],
                ..ChatMessage::default()
            }));
        }
    }
}
