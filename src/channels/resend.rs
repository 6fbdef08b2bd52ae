//! E-mails by the Resend API.
//!
//! Errors: <https://resend.com/docs/api-reference/errors>.

use chrono::{DateTime, Utc};
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::http::{Answer, Details, Request, below};
use super::redact::Redactor;
use super::{AttemptOutcome, Cause, EmailMessage, Mailbox, SendError, Transport};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Debug, Clone)]
pub struct Resend {
    pub api_key: SecretString,
    pub base: Url,
}

impl Resend {
    /// Where the API is by default.
    pub const BASE: &str = "https://api.resend.com";
}

impl Transport for Resend {
    type Target = Mailbox;
    type Message = EmailMessage;

    const NAME: &'static str = "resend";

    fn redactor(&self, _: &Mailbox) -> Redactor {
        Redactor::default().hiding(self.api_key.expose_secret())
    }

    fn request(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        _: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        Request::json(below(&self.base, "emails"), &body(target, message))
            .with_bearer(&self.api_key)?
            .with_secret(IDEMPOTENCY_KEY, &message.key)
    }

    /// `{"statusCode", "name", "message"}`. A conflict is permanent, unless it is with another
    /// attempt at the same e-mail that is still under way.
    fn details(answer: &Answer, _: DateTime<Utc>) -> Details {
        let body = answer.json();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let cause = Cause::Settings;
        Details {
            id: body["id"].as_str().map(str::to_owned),
            outcome: match text("name").as_str() {
                "concurrent_idempotent_requests" => Some(AttemptOutcome::Retry { after: None }),
                "invalid_from_address" => Some(AttemptOutcome::Permanent { cause }),
                _ => None,
            },
            code: text("name"),
            message: text("message"),
            after: None,
        }
    }
}

/// The same bytes for the same e-mail, or the idempotency key would be refused.
fn body(to: &Mailbox, email: &EmailMessage) -> Value {
    let mut body = json!({
        "from": email.from.header(),
        "to": [to.header()],
        "subject": email.subject(),
        "text": email.text,
        "html": email.html,
        "headers": email.api_headers(),
    });
    if let Some(reply_to) = &email.reply_to {
        body["reply_to"] = json!([reply_to.header()]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::samples::{email, mailbox, outline};

    #[test]
    fn request() {
        let mut body = body(&mailbox("Grace \"G\" Ünsal <grace@example.org>"), &email());
        assert_eq!(body["headers"].take(), json!(email().api_headers()));
        insta::assert_snapshot!(outline(&body), @r#"
        from: "\"Brücke, Ltd.\" <notify@example.com>"
        headers: null
        html: "<p>Hello Grace,<br>Grüße</p>"
        reply_to: "help@example.com"
        subject: "Ada Bcc: evil@example.com shared “Zähler.pdf”"
        text: "Hello Grace,\n.\nGrüße"
        to: "\"Grace \\\"G\\\" Ünsal\" <grace@example.org>"
        "#);
    }
}
