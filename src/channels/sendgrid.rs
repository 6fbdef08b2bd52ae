//! E-mails by the `SendGrid` API.
//!
//! Errors: <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors>.

use chrono::{DateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::http::{Answer, Details, Request, below, retry_after};
use super::redact::Redactor;
use super::{AttemptOutcome, Cause, EmailMessage, Mailbox, SendError, Transport};

const MESSAGE_ID: HeaderName = HeaderName::from_static("x-message-id");
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// It knows no idempotency key, so an attempt without an answer is uncertain.
#[derive(Debug, Clone)]
pub struct SendGrid {
    pub api_key: SecretString,
    pub base: Url,
}

impl SendGrid {
    /// Where the API is by default; Europe has another.
    pub const BASE: &str = "https://api.sendgrid.com";
}

impl Transport for SendGrid {
    type Target = Mailbox;
    type Message = EmailMessage;

    const NAME: &'static str = "sendgrid";

    fn redactor(&self, _: &Mailbox) -> Redactor {
        Redactor::default().hiding(self.api_key.expose_secret())
    }

    fn request(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        _: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        Request::json(below(&self.base, "v3/mail/send"), &body(target, message))
            .with_bearer(&self.api_key)
    }

    /// `{"errors": [{"message", "field"}]}`; the identifier of a message is a header.
    fn details(answer: &Answer, now: DateTime<Utc>) -> Details {
        let body = answer.json();
        let error = &body["errors"][0];
        let text = |key: &str| error[key].as_str().unwrap_or_default();
        let cause = match text("field").split('.').next() {
            Some("from") => Some(Cause::Settings),
            Some("personalizations") => Some(Cause::Recipient),
            _ => None,
        };
        let cause = cause.filter(|_| answer.status < 500);
        let reset = answer.header(&RATE_LIMIT_RESET);
        let reset = reset.filter(|_| answer.status == 429);
        let reset = reset.and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
        Details {
            id: answer.header(&MESSAGE_ID).map(str::to_owned),
            code: text("field").to_owned(),
            message: text("message").to_owned(),
            outcome: cause.map(|cause| AttemptOutcome::Permanent { cause }),
            after: reset.map(|at| retry_after::until(at, now)),
        }
    }
}

fn body(to: &Mailbox, email: &EmailMessage) -> Value {
    let mut body = json!({
        "personalizations": [{ "to": [party(to)] }],
        "from": party(&email.from),
        "subject": email.subject(),
        // The plain text has to come first.
        "content": [
            { "type": "text/plain", "value": email.text },
            { "type": "text/html", "value": email.html },
        ],
        "headers": email.api_headers(),
        // Comes back in the account's event feed.
        "custom_args": { "delivery": email.key },
        // Links are the recipient's own, and lead where they say.
        "tracking_settings": {
            "click_tracking": { "enable": false, "enable_text": false },
            "subscription_tracking": { "enable": false },
        },
    });
    if let Some(reply_to) = &email.reply_to {
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
    use crate::channels::samples::{email, mailbox, outline};

    #[test]
    fn request() {
        let mut body = body(&mailbox("Grace Ünsal <grace@example.org>"), &email());
        assert_eq!(body["headers"].take(), json!(email().api_headers()));
        insta::assert_snapshot!(outline(&body), @r#"
        content: {"type":"text/plain","value":"Hello Grace,\n.\nGrüße"}
        content: {"type":"text/html","value":"<p>Hello Grace,<br>Grüße</p>"}
        custom_args: {"delivery":"email.6f9c"}
        from: {"email":"notify@example.com","name":"Brücke, Ltd."}
        headers: null
        personalizations: {"to":[{"email":"grace@example.org","name":"Grace Ünsal"}]}
        reply_to: {"email":"help@example.com"}
        subject: "Ada Bcc: evil@example.com shared “Zähler.pdf”"
        tracking_settings: {"click_tracking":{"enable":false,"enable_text":false},"subscription_tracking":{"enable":false}}
        "#);
    }
}
