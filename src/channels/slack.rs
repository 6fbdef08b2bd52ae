//! Slack, by incoming webhooks.
//!
//! Limits: <https://docs.slack.dev/reference/block-kit/blocks>; answers:
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::chat::{Chat, ChatMessage, LINK_LABEL, sign};
use super::http::{Answer, Details};
use super::registry::RouteVariables;
use super::truncate::{length, lines, truncate, truncate_escaped};
use super::{Field, Spec};
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

#[derive(Debug, Default)]
pub struct Slack;

impl Chat for Slack {
    const SPEC: Spec = Spec {
        pace: Some(Duration::from_secs(1)),
        route: Some(RouteVariables {
            address: "NOTIFICATIONS_SLACK_WEBHOOK_URL",
            switch: "NOTIFICATIONS_SLACK_ENABLED",
            is_list: false,
        }),
        domains: &["slack.com", "slack-gov.com"],
        ..Spec::chat("slack", "Slack messages")
    };

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
    let title = format!("{}{}", sign(message.severity), plain(&message.title));
    let title = title.trim();
    let text = lines(&message.text);
    let footer = message.footer.as_deref().map(plain).unwrap_or_default();
    let mut blocks = Vec::new();
    if !title.is_empty() {
        let title = plain_text(&truncate(title, HEADER_MAX));
        blocks.push(json!({ "type": "header", "text": title }));
    }
    if !text.is_empty() {
        let text = plain_text(&truncate(&text, TEXT_MAX));
        blocks.push(json!({ "type": "section", "text": text }));
    }
    for fields in shown(&message.fields).chunks(FIELDS_OF_SECTION) {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    if let Some(url) = &message.link {
        blocks.push(json!({ "type": "section", "text": mrkdwn(&link(url)) }));
    }
    if !footer.is_empty() {
        let elements = [plain_text(&truncate(&footer, FOOTER_MAX))];
        blocks.push(json!({ "type": "context", "elements": elements }));
    }
    let fallback = format!("{title}\n{text}");
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
fn link(url: &Url) -> String {
    let mut escaped = String::new();
    for c in url.as_str().chars() {
        match c {
            '|' => escaped.push_str("%7C"),
            c => escape(c, &mut escaped),
        }
    }
    let link = format!("<{escaped}|{LINK_LABEL}>");
    Some(link)
        .filter(|link| length(link) <= TEXT_MAX)
        .unwrap_or_else(|| LINK_LABEL.to_owned())
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
pub(super) mod tests {
    use super::*;
    use crate::channels::Severity;
    use crate::channels::samples::{field, outline};

    #[test]
    fn request() {
        let message = ChatMessage {
            title: "Payment failed: <!channel> & more".to_owned(),
            text: "First line\n\n\nSecond <https://evil.example|paragraph>".to_owned(),
            fields: vec![
                field("Amount", "€ 12.00"),
                field("A & B", "<@U1>"),
                field("", ""),
            ],
            severity: Severity::Critical,
            link: "https://app.example/?a=1&b=|x".parse().ok(),
            footer: Some("production".to_owned()),
        };
        insta::assert_snapshot!(outline(&body(&message)), @r#"
        blocks: {"text":{"emoji":true,"text":"🚨 Payment failed: <!channel> & more","type":"plain_text"},"type":"header"}
        blocks: {"text":{"emoji":true,"text":"First line\n\nSecond <https://evil.example|paragraph>","type":"plain_text"},"type":"section"}
        blocks: {"fields":[{"text":"*Amount*\n€ 12.00","type":"mrkdwn","verbatim":true},{"text":"*A &amp; B*\n&lt;@U1&gt;","type":"mrkdwn","verbatim":true},{"text":"–","type":"mrkdwn","verbatim":true}],"type":"section"}
        blocks: {"text":{"text":"<https://app.example/?a=1&amp;b=%7Cx|Open it>","type":"mrkdwn","verbatim":true},"type":"section"}
        blocks: {"elements":[{"emoji":true,"text":"production","type":"plain_text"}],"type":"context"}
        text: "🚨 Payment failed: &lt;!channel&gt; &amp; more\nFirst line\n\nSecond &lt;https://evil.example|paragraph&gt;"
        "#);
    }

    /// What Slack publishes as limits, checked on the finished body.
    pub(in crate::channels) fn assert_limits(body: &Value) {
        let text_of = |value: &Value| length(value["text"].as_str().expect("a text"));
        let blocks = body["blocks"].as_array().expect("blocks");
        assert!(blocks.len() <= 50, "{}", blocks.len());
        assert!(text_of(body) <= 40_000);
        for block in blocks {
            match (&block["type"], &block["fields"], &block["elements"]) {
                (kind, _, _) if kind == "header" => {
                    assert!((1..=150).contains(&text_of(&block["text"])));
                }
                (_, Value::Array(fields), _) => {
                    assert!((1..=10).contains(&fields.len()));
                    let mut fields = fields.iter();
                    assert!(fields.all(|field| (1..=2_000).contains(&text_of(field))));
                }
                (_, _, Value::Array(elements)) => assert_eq!(elements.len(), 1),
                _ => assert!((1..=3_000).contains(&text_of(&block["text"]))),
            }
        }
    }

    #[test]
    fn the_last_field_counts_those_that_do_not_fit() {
        let body = body(&ChatMessage {
            title: "&<ab>👩‍👧 ".repeat(2_000),
            fields: vec![field("n", "v"); 500],
            severity: Severity::Warning,
            ..ChatMessage::default()
        });
        assert_eq!(body["blocks"][46]["fields"][9]["text"], "… and 41 more");
        insta::assert_snapshot!(body["blocks"][0]["text"]["text"], @r#""⚠️ &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<ab>👩‍👧 &<a…""#);
    }
}
