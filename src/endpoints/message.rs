//! A stored message in the form of each channel. Pure: what is sent again is the same.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::channels::chat::Link;
use crate::channels::truncate::{length, lines, truncate};
use crate::channels::twilio::BODY_MAX;
use crate::channels::{ChatMessage, DeliveryKey, SmsMessage, WebhookMessage};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;
use crate::domain::text::plain;
use crate::templates::QueuedMail;

/// The last line of a text message leads to the application, if it leaves room for the words.
const LINK_MAX: usize = BODY_MAX / 2;

/// For Slack and Discord.
#[must_use]
pub fn chat(told: &Message, app_url: Option<&BaseUrl>) -> ChatMessage {
    let link = link(told, app_url).and_then(|url| url.parse().ok());
    ChatMessage {
        title: told.title.clone(),
        text: told.text.clone(),
        fields: told.fields.clone(),
        severity: told.severity,
        link: link.map(|url| Link {
            label: "Open it".to_owned(),
            url,
        }),
        footer: app_url.map(BaseUrl::host),
    }
}

/// For a phone: title and text, the particulars where there is no text, and the link.
#[must_use]
pub fn sms(told: &Message, app_url: Option<&BaseUrl>) -> SmsMessage {
    let mut words = vec![plain(&told.title)];
    let text = lines(&told.text);
    if text.is_empty() {
        let fields = told.fields.iter();
        words.extend(fields.map(|field| plain(&format!("{}: {}", field.name, field.value))));
    } else {
        words.push(text);
    }
    words.retain(|line| !line.is_empty());
    let words = words.join("\n");
    let link = link(told, app_url).filter(|link| length(link) <= LINK_MAX);
    let text = match link {
        Some(link) if words.is_empty() => link,
        Some(link) => format!("{}\n{link}", truncate(&words, BODY_MAX - length(&link) - 1)),
        None => truncate(&words, BODY_MAX),
    };
    SmsMessage { text }
}

/// For a program: the particulars as the event has them, and under `summary` what people are told.
#[must_use]
pub fn webhook(
    key: DeliveryKey,
    event_type: &str,
    occurred_at: DateTime<Utc>,
    told: &Message,
    app_url: Option<&BaseUrl>,
) -> WebhookMessage {
    let mut data = told.data.clone();
    // An event's own key of that name wins.
    data.entry("summary").or_insert_with(|| {
        json!({
            "title": told.title,
            "text": told.text,
            "severity": told.severity,
            "link": link(told, app_url),
        })
    });
    WebhookMessage {
        key,
        event_type: event_type.to_owned(),
        occurred_at,
        data: Value::Object(data),
    }
}

/// For a mailbox: what the templates of mails make a mail of, those of the event's type if it has
/// some; the generic ones show what stands under `told`.
#[must_use]
pub fn mail(event_type: &str, occurred_at: DateTime<Utc>, told: &Message) -> QueuedMail {
    let lines = lines(&told.text);
    QueuedMail {
        event_type: event_type.to_owned(),
        subject: told.title.clone(),
        body_data: json!({
            "link_url": told.link_url,
            "severity": told.severity,
            "text": lines,
            "fields": told.fields,
            "told": {
                "lines": lines.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
                "fields": told.fields,
            },
        }),
        project_id: None,
        project_name: None,
        created_at: occurred_at,
    }
}

/// The link as an address; without one that is known, where the application is.
fn link(told: &Message, app_url: Option<&BaseUrl>) -> Option<String> {
    let path = told.link_url.as_deref()?;
    app_url.map(|app_url| app_url.link(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::announcement::{Field, Severity};
    use crate::templates::{Recipient, Templates};
    use proptest::prelude::*;

    fn told() -> Message {
        let amount = Field {
            name: "Amount".to_owned(),
            value: "12.00 EUR".to_owned(),
        };
        Message {
            title: "Payment failed".to_owned(),
            text: "Card declined.\n\nSecond try tomorrow.".to_owned(),
            fields: vec![amount],
            severity: Severity::Critical,
            link_url: Some("/billing?tenant=7".to_owned()),
            data: json!({"tenant_id": "7", "amount": 12})
                .as_object()
                .cloned()
                .expect("an object"),
        }
    }

    fn app() -> BaseUrl {
        BaseUrl::parse("https://app.example.com").expect("an address")
    }

    #[test]
    fn chats_link_where_the_application_is_known() {
        let message = chat(&told(), Some(&app()));
        let link = message.link.expect("a link");
        assert_eq!(
            link.url.as_str(),
            "https://app.example.com/billing?tenant=7"
        );
        assert_eq!(message.footer.as_deref(), Some("app.example.com"));
        assert_eq!(
            (message.title, message.severity),
            ("Payment failed".to_owned(), Severity::Critical)
        );
        let message = chat(&told(), None);
        assert_eq!((message.link, message.footer), (None, None));
        let unlinked = Message {
            link_url: None,
            ..told()
        };
        assert_eq!(chat(&unlinked, Some(&app())).link, None);
    }

    #[test]
    fn phones_are_told_the_words_and_the_link() {
        insta::assert_snapshot!(sms(&told(), Some(&app())).text, @"
        Payment failed
        Card declined.

        Second try tomorrow.
        https://app.example.com/billing?tenant=7
        ");
        let terse = Message {
            text: String::new(),
            ..told()
        };
        insta::assert_snapshot!(sms(&terse, None).text, @"
        Payment failed
        Amount: 12.00 EUR
        ");
    }

    #[test]
    fn programs_get_the_particulars() {
        let at = "2026-11-21T10:00:00Z".parse().expect("a time");
        let key = || "k".parse().expect("a key");
        let message = webhook(key(), "payment_failed", at, &told(), Some(&app()));
        insta::assert_json_snapshot!(message.data, @r#"
        {
          "amount": 12,
          "summary": {
            "link": "https://app.example.com/billing?tenant=7",
            "severity": "critical",
            "text": "Card declined.\n\nSecond try tomorrow.",
            "title": "Payment failed"
          },
          "tenant_id": "7"
        }
        "#);
        let mut own = told();
        own.data
            .insert("summary".to_owned(), "the event's own".into());
        assert_eq!(
            webhook(key(), "x", at, &own, None).data["summary"],
            "the event's own"
        );
    }

    #[test]
    fn mails_carry_lines_and_fields() {
        let at = "2026-11-21T10:00:00Z".parse().expect("a time");
        let mail = mail("payment_failed", at, &told());
        assert_eq!(mail.subject, "Payment failed");
        insta::assert_json_snapshot!(mail.body_data, @r#"
        {
          "fields": [
            {
              "name": "Amount",
              "value": "12.00 EUR"
            }
          ],
          "link_url": "/billing?tenant=7",
          "severity": "critical",
          "text": "Card declined.\n\nSecond try tomorrow.",
          "told": {
            "fields": [
              {
                "name": "Amount",
                "value": "12.00 EUR"
              }
            ],
            "lines": [
              "Card declined.",
              "Second try tomorrow."
            ]
          }
        }
        "#);
    }

    /// What people wrote is no link, and no markup.
    #[test]
    fn the_mail_tells_all_of_it() {
        let templates = Templates::load(None, app(), None).expect("templates");
        let at = "2026-11-21T10:00:00Z".parse().expect("a time");
        let mut told = told();
        told.fields[0].value = "<b>12</b> https://evil.example".to_owned();
        let mail = templates
            .mail(&mail("payment_failed", at, &told), &Recipient::default())
            .expect("a mail");
        assert_eq!(mail.subject, "Payment failed");
        insta::assert_snapshot!(mail.text.replace('\u{2060}', "|"), @"
        Payment failed

        Severity: 🚨 Critical

        Card declined. Second try tomorrow.

        Amount: <b>12</b> https:|//evil|.example

        Take a look:
        https://app.example.com/billing?tenant=7

        ---
        You get this because this mailbox hears of the operation of
        app.example.com.
        ");
        for words in [
            "Card declined.",
            "Second try tomorrow.",
            "&lt;b&gt;12&lt;/b&gt;",
        ] {
            assert!(mail.html.contains(words), "{}", mail.html);
        }
    }

    proptest! {
        #[test]
        fn a_text_message_fits_with_its_link(title in "\\PC{0,400}", text in "(\\PC{0,300}\n?){0,9}", path in "[a-z/]{0,900}") {
            let told = Message { title, text, link_url: Some(path), ..Message::default() };
            let message = sms(&told, Some(&app()));
            prop_assert!(length(&message.text) <= BODY_MAX, "{}", message.text);
            let link = app().link(told.link_url.as_deref().expect("a path"));
            prop_assert_eq!(message.text.ends_with(&link), length(&link) <= LINK_MAX);
        }
    }
}
