//! Discord, by webhooks.
//!
//! Limits: <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use url::Url;

use super::Channel;
use super::chat::{ChatMessage, Field, Look};
use super::exchange::{Exchange, gone_at};
use super::kind::Transport;
use super::outcome::{AttemptOutcome, Receipt, SendError};
use super::outgoing::{Answer, Outgoing, Request};
use super::retry_after;
use super::secret_url::SecretUrl;
use super::truncate::{length, lines, truncate, truncate_escaped};
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

/// The way to Discord.
#[derive(Debug, Clone)]
pub struct Discord {
    /// The shared client.
    pub outgoing: Outgoing,
}

impl Channel for Discord {
    type Target = SecretUrl;
    type Message = ChatMessage;

    fn transport(&self) -> Transport {
        Transport::Discord
    }

    fn time_limit(&self) -> Duration {
        self.outgoing.timeout()
    }

    async fn send(
        &self,
        target: &SecretUrl,
        message: &ChatMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        let redactor = target.redactor();
        let exchange = Exchange {
            transport: self.transport(),
            redactor: &redactor,
            now,
        };
        let url = waiting(target.expose());
        let request = Request::json(&url, &body(message));
        match self.outgoing.exchange(request).await {
            Ok(answer) => classify(&exchange, &answer),
            Err(failure) => Err(exchange.lost(failure)),
        }
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

/// Faults are told as `{"code", "message"}`, a limit of the rate as `{"retry_after"}`, whose
/// fraction is finer than the header's. A webhook that was removed is answered with 404.
fn classify(exchange: &Exchange<'_>, answer: &Answer) -> Result<Receipt, SendError> {
    let told = answer.json();
    let mut error = match exchange.classify(answer) {
        Ok(receipt) => {
            return Ok(exchange.named(receipt, told["id"].as_str()));
        }
        Err(error) => gone_at(&[404, 410], error),
    };
    if let AttemptOutcome::Retry { after } | AttemptOutcome::Throttled { after } =
        &mut error.outcome
    {
        let finer = told["retry_after"]
            .as_f64()
            .and_then(retry_after::from_seconds);
        *after = finer.or(*after);
    }
    let code = told["code"].as_u64().filter(|&code| code > 0);
    let code = code.map(|code| code.to_string()).unwrap_or_default();
    match told["message"].as_str() {
        Some(message) => Err(exchange.explain(error, &code, message)),
        None => Err(error),
    }
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
    use crate::channels::chat::{Link, Severity};
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
