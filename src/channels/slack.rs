//! Slack, by incoming webhooks.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>; answers:
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use std::time::Duration;

use serde_json::{Value, json};

use super::chat::{Chat, ChatMessage, Look};
use super::http::{Answer, Details};
use super::truncate::{length, lines, truncate, truncate_escaped};
use super::{Field, Link, RouteVariables};
use crate::domain::text::plain;

const HEADER_MAX: usize = 150;
const TEXT_MAX: usize = 3_000;
const FIELD_MAX: usize = 2_000;
const FIELDS_OF_SECTION: usize = 10;
/// Of 50 blocks, four are header, text, link and footer.
const FIELDS_MAX: usize = 46 * FIELDS_OF_SECTION;
/// What is shown where blocks are not, such as in the notification of a phone.
const FALLBACK_MAX: usize = 1_000;
const FOOTER_MAX: usize = 300;
/// A name of a field, of which there has to be room for the value.
const NAME_MAX: usize = 200;
const LABEL_MAX: usize = 100;

#[derive(Debug)]
pub struct Slack;

impl Chat for Slack {
    const NAME: &'static str = "slack";
    const MESSAGES: &'static str = "Slack messages";
    const PACE: Option<Duration> = Some(Duration::from_secs(1));
    const ROUTE: Option<RouteVariables> = Some(RouteVariables {
        address: "NOTIFICATIONS_SLACK_WEBHOOK_URL",
        switch: "NOTIFICATIONS_SLACK_ENABLED",
        is_list: false,
    });
    const DOMAINS: &'static [&'static str] = &["slack.com", "slack-gov.com"];

    fn body(message: &ChatMessage) -> Value {
        body(message)
    }

    /// The body is the code: `no_service`, `channel_is_archived`.
    fn details(answer: &Answer) -> Details {
        let code = String::from_utf8_lossy(&answer.body);
        let is_code = code.len() <= 60 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        Details {
            code: if is_code { code.into() } else { String::new() },
            ..Details::default()
        }
    }
}

fn body(message: &ChatMessage) -> Value {
    let title = format!("{}{}", message.severity.sign(), plain(&message.title));
    let text = lines(&message.text);
    let mut blocks = Vec::new();
    if !title.trim().is_empty() {
        let title = truncate(title.trim(), HEADER_MAX);
        blocks.push(json!({ "type": "header", "text": plain_text(&title) }));
    }
    if !text.is_empty() {
        let text = truncate(&text, TEXT_MAX);
        blocks.push(json!({ "type": "section", "text": plain_text(&text) }));
    }
    for fields in shown(&message.fields).chunks(FIELDS_OF_SECTION) {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if let Some(link) = message.link.as_ref().and_then(link) {
        blocks.push(json!({ "type": "section", "text": mrkdwn(&link) }));
    }
    if let Some(footer) = message
        .footer
        .as_deref()
        .map(plain)
        .filter(|text| !text.is_empty())
    {
        let elements = [plain_text(&truncate(&footer, FOOTER_MAX))];
        blocks.push(json!({ "type": "context", "elements": elements }));
    }
    let fallback = [title.trim(), &text].map(str::to_owned).join("\n");
    json!({ "text": truncate_escaped(fallback.trim(), FALLBACK_MAX, escape), "blocks": blocks })
}

/// Each field; the last that there is room for says how many there is none for.
fn shown(fields: &[Field]) -> Vec<Value> {
    let mut shown: Vec<_> = fields.iter().take(FIELDS_MAX).map(field).collect();
    if fields.len() > FIELDS_MAX {
        let rest = fields.len() - FIELDS_MAX + 1;
        shown[FIELDS_MAX - 1] = mrkdwn(&format!("… and {rest} more"));
    }
    shown
}

fn field(field: &Field) -> Value {
    let name = truncate_escaped(&plain(&field.name), NAME_MAX, escape);
    let room = FIELD_MAX - length(&name) - 3;
    let value = truncate_escaped(&lines(&field.value), room, escape);
    // An empty text is refused, and so is `**`.
    match (name.is_empty(), value.is_empty()) {
        (true, true) => mrkdwn("–"),
        (true, false) => mrkdwn(&value),
        (false, _) => mrkdwn(&format!("*{name}*\n{value}")),
    }
}

/// A link whose address doesn't fit would lead nowhere once cut: its label stays.
fn link(link: &Link) -> Option<String> {
    let label = truncate_escaped(&plain(&link.label), LABEL_MAX, escape);
    let mut url = String::new();
    for c in link.url.as_str().chars() {
        match c {
            '|' => url.push_str("%7C"),
            c => escape(c, &mut url),
        }
    }
    let whole = match label.as_str() {
        "" => format!("<{url}>"),
        label => format!("<{url}|{label}>"),
    };
    if length(&whole) <= TEXT_MAX {
        Some(whole)
    } else {
        Some(label).filter(|label| !label.is_empty())
    }
}

fn plain_text(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": true })
}

/// `verbatim` keeps Slack from making links and mentions of what looks like some.
fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// The three characters that begin mentions, links and entities.
fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Severity;
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
            title: "Payment failed: <!channel> & more".to_owned(),
            text: "First line\n\n\nSecond <https://evil.example|paragraph>".to_owned(),
            fields: vec![
                field_of("Amount", "€ 12.00"),
                field_of("A & B", "<@U1>"),
                field_of("", ""),
            ],
            severity: Severity::Critical,
            link: Some(Link {
                label: "Open > it".to_owned(),
                url: "https://app.example/?a=1&b=|x".parse().expect("an address"),
            }),
            footer: Some("production".to_owned()),
        };
        insta::assert_json_snapshot!(body(&message), @r#"
        {
          "blocks": [
            {
              "text": {
                "emoji": true,
                "text": "🚨 Payment failed: <!channel> & more",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "text": {
                "emoji": true,
                "text": "First line\n\nSecond <https://evil.example|paragraph>",
                "type": "plain_text"
              },
              "type": "section"
            },
            {
              "fields": [
                {
                  "text": "*Amount*\n€ 12.00",
                  "type": "mrkdwn",
                  "verbatim": true
                },
                {
                  "text": "*A &amp; B*\n&lt;@U1&gt;",
                  "type": "mrkdwn",
                  "verbatim": true
                },
                {
                  "text": "–",
                  "type": "mrkdwn",
                  "verbatim": true
                }
              ],
              "type": "section"
            },
            {
              "text": {
                "text": "<https://app.example/?a=1&amp;b=%7Cx|Open &gt; it>",
                "type": "mrkdwn",
                "verbatim": true
              },
              "type": "section"
            },
            {
              "elements": [
                {
                  "emoji": true,
                  "text": "production",
                  "type": "plain_text"
                }
              ],
              "type": "context"
            }
          ],
          "text": "🚨 Payment failed: &lt;!channel&gt; &amp; more\nFirst line\n\nSecond &lt;https://evil.example|paragraph&gt;"
        }
        "#);
    }

    /// What Slack publishes as limits, checked on the finished body.
    fn keeps_the_limits(body: &Value) {
        let text_of = |value: &Value| length(value["text"].as_str().expect("a text"));
        let blocks = body["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50, "{}", blocks.len());
        assert!(length(body["text"].as_str().expect("a text")) <= 40_000);
        for block in blocks {
            match block["type"].as_str().expect("a type") {
                "header" => assert!((1..=150).contains(&text_of(&block["text"]))),
                "section" if block.get("text").is_some() => {
                    assert!((1..=3_000).contains(&text_of(&block["text"])));
                }
                "section" => {
                    let fields = block["fields"].as_array().expect("fields");
                    assert!((1..=10).contains(&fields.len()));
                    assert!(
                        fields
                            .iter()
                            .all(|field| (1..=2_000).contains(&text_of(field)))
                    );
                }
                "context" => assert!(
                    block["elements"]
                        .as_array()
                        .is_some_and(|all| all.len() == 1)
                ),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn too_much_of_everything_is_cut() {
        let long = "&<ab>👩‍👧 ".repeat(2_000);
        let message = ChatMessage {
            title: long.clone(),
            text: long.clone(),
            fields: (0..500).map(|_| field_of(&long, &long)).collect(),
            severity: Severity::Warning,
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
        let blocks = body["blocks"].as_array().expect("blocks");
        assert_eq!(blocks.len(), 50);
        assert_eq!(blocks[47]["fields"][9]["text"], "… and 41 more");
        insta::assert_snapshot!(blocks[0]["text"]["text"].as_str().expect("a title"), @"⚠️ &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<a…");
    }

    proptest! {
        #[test]
        fn any_message_keeps_the_limits(
            title in "\\PC{0,200}", text in "[&<>a\\n]{0,4000}", name in "[&a]{0,300}", value in "[<b]{0,2500}",
            count in 0_usize..600, footer in proptest::option::of("\\PC{0,400}"),
        ) {
            keeps_the_limits(&body(&ChatMessage {
                title, text, footer,
                fields: vec![Field { name, value }; count.min(12)],
                ..ChatMessage::default()
            }));
        }
    }
}
