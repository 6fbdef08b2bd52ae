//! Mails by the `SendGrid` API.
//!
//! Faults: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

use super::Channel;
use super::email::{EmailMessage, Mailbox};
use super::exchange::{Exchange, below, secret_header};
use super::kind::Transport;
use super::outcome::{AttemptOutcome, Cause, Receipt, SendError};
use super::outgoing::{Answer, Outgoing, Request};
use super::redact::Redactor;
use super::retry_after;

/// The way through `SendGrid`. It knows no idempotency key, so an attempt without an answer is
/// uncertain.
#[derive(Debug, Clone)]
pub struct SendGrid {
    /// The shared client.
    pub outgoing: Outgoing,
    /// The key of the account.
    pub api_key: SecretString,
    /// Where the API is.
    pub base: Url,
}

impl SendGrid {
    /// Where the API is, unless it is told otherwise; the European one is another.
    pub const BASE: &str = "https://api.sendgrid.com";
}

impl Channel for SendGrid {
    type Target = Mailbox;
    type Message = EmailMessage;

    fn transport(&self) -> Transport {
        Transport::SendGrid
    }

    fn time_limit(&self) -> Duration {
        self.outgoing.timeout()
    }

    async fn send(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        let redactor = Redactor::default().hiding(self.api_key.expose_secret());
        let exchange = Exchange {
            transport: self.transport(),
            redactor: &redactor,
            now,
        };
        let url = below(&self.base, "v3/mail/send");
        let mut request = Request::json(&url, &body(target, message));
        let bearer = format!("Bearer {}", self.api_key.expose_secret());
        request
            .headers
            .insert(AUTHORIZATION, secret_header(&bearer)?);
        match self.outgoing.exchange(request).await {
            Ok(answer) => classify(&exchange, &answer),
            Err(failure) => Err(exchange.lost(failure)),
        }
    }
}

/// Faults are told as `{"errors": [{"message", "field"}]}`; the name of a message is a header.
fn classify(exchange: &Exchange<'_>, answer: &Answer) -> Result<Receipt, SendError> {
    let mut error = match exchange.classify(answer) {
        Ok(receipt) => {
            let id = answer.header(&HeaderName::from_static("x-message-id"));
            return Ok(exchange.named(receipt, id));
        }
        Err(error) => error,
    };
    if let AttemptOutcome::Throttled { after } = &mut error.outcome {
        let reset = answer.header(&HeaderName::from_static("x-ratelimit-reset"));
        let reset = reset.and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
        *after = after.or(reset.map(|at| retry_after::until(at, exchange.now)));
    }
    let told = answer.json();
    let first = &told["errors"][0];
    let field = first["field"].as_str().unwrap_or_default();
    if let AttemptOutcome::Permanent { cause } = &mut error.outcome {
        match field.split('.').next() {
            Some("from") => *cause = Cause::Settings,
            Some("personalizations") => *cause = Cause::Recipient,
            _ => {}
        }
    }
    match first["message"].as_str() {
        Some(message) => Err(exchange.explain(error, field, message)),
        None => Err(error),
    }
}

fn body(to: &Mailbox, mail: &EmailMessage) -> Value {
    let mut headers: Map<String, Value> = mail
        .kind_headers()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    headers.insert("Message-ID".to_owned(), mail.message_id().into());
    let mut body = json!({
        "personalizations": [{ "to": [party(to)] }],
        "from": party(&mail.from),
        "subject": mail.subject(),
        // The plain text has to come first.
        "content": [
            { "type": "text/plain", "value": mail.text },
            { "type": "text/html", "value": mail.html },
        ],
        "headers": headers,
        // Comes back in the account's event feed.
        "custom_args": { "delivery": mail.key.as_str() },
        // Links are the recipient's own, and lead where they say.
        "tracking_settings": {
            "click_tracking": { "enable": false, "enable_text": false },
            "subscription_tracking": { "enable": false },
        },
    });
    if let Some(reply_to) = &mail.reply_to {
        body["reply_to"] = party(reply_to);
    }
    body
}

fn party(mailbox: &Mailbox) -> Value {
    match mailbox.name() {
        Some(name) => json!({ "email": mailbox.address(), "name": name }),
        None => json!({ "email": mailbox.address() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::email::tests::{mailbox, sample};

    #[test]
    fn request() {
        insta::assert_json_snapshot!(body(&mailbox("Grace Ünsal <grace@example.org>"), &sample()), @r#"
        {
          "content": [
            {
              "type": "text/plain",
              "value": "Hello Grace,\n.\nGrüße"
            },
            {
              "type": "text/html",
              "value": "<p>Hello Grace,<br>Grüße</p>"
            }
          ],
          "custom_args": {
            "delivery": "email.6f9c"
          },
          "from": {
            "email": "notify@example.com",
            "name": "Brücke, Ltd."
          },
          "headers": {
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": "<https://app.example/unsubscribe?token=abc>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Message-ID": "<email.6f9c@example.com>"
          },
          "personalizations": [
            {
              "to": [
                {
                  "email": "grace@example.org",
                  "name": "Grace Ünsal"
                }
              ]
            }
          ],
          "reply_to": {
            "email": "help@example.com"
          },
          "subject": "Ada Bcc: evil@example.com shared “Zähler.pdf”",
          "tracking_settings": {
            "click_tracking": {
              "enable": false,
              "enable_text": false
            },
            "subscription_tracking": {
              "enable": false
            }
          }
        }
        "#);
        // Those that SendGrid sets itself, and refuses to be given.
        let body = body(&mailbox("grace@example.org"), &sample());
        for reserved in [
            "x-sg-id",
            "x-sg-eid",
            "received",
            "dkim-signature",
            "content-type",
            "content-transfer-encoding",
            "to",
            "from",
            "subject",
            "reply-to",
            "cc",
            "bcc",
        ] {
            let headers = body["headers"].as_object().expect("headers");
            assert!(
                headers
                    .keys()
                    .all(|name| !name.eq_ignore_ascii_case(reserved)),
                "{reserved}"
            );
        }
    }
}
