//! E-mails by the Resend API.
//!
//! Errors: <https://resend.com/docs/api-reference/errors>.

use chrono::{DateTime, Utc};
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::http::{Answer, Details, Outgoing, Request, below, secret_header};
use super::redact::Redactor;
use super::transport::HttpTransport;
use super::{AttemptOutcome, Cause, EmailMessage, Mailbox, SendError};

#[derive(Debug, Clone)]
pub struct Resend {
    pub outgoing: Outgoing,
    pub api_key: SecretString,
    pub base: Url,
}

impl Resend {
    /// Where the API is by default.
    pub const BASE: &str = "https://api.resend.com";
}

impl HttpTransport for Resend {
    type Target = Mailbox;
    type Message = EmailMessage;

    const NAME: &'static str = "resend";

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn redactor(&self, _: &Mailbox) -> Redactor {
        Redactor::default().hiding(self.api_key.expose_secret())
    }

    fn request(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        _: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        let mut request = Request::json(below(&self.base, "emails"), &body(target, message));
        let bearer = format!("Bearer {}", self.api_key.expose_secret());
        let bearer = secret_header(&bearer)?;
        request.headers.insert(AUTHORIZATION, bearer);
        let key = secret_header(message.key.as_str())?;
        request.headers.insert("idempotency-key", key);
        Ok(request)
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
    use crate::channels::email::tests::sample;
    use crate::channels::mailbox::tests::mailbox;

    #[test]
    fn request() {
        insta::assert_json_snapshot!(body(&mailbox("Grace \"G\" Ünsal <grace@example.org>"), &sample()), @r#"
        {
          "from": "\"Brücke, Ltd.\" <notify@example.com>",
          "headers": {
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": "<https://app.example/unsubscribe?token=abc>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Message-ID": "<email.6f9c@example.com>"
          },
          "html": "<p>Hello Grace,<br>Grüße</p>",
          "reply_to": [
            "help@example.com"
          ],
          "subject": "Ada Bcc: evil@example.com shared “Zähler.pdf”",
          "text": "Hello Grace,\n.\nGrüße",
          "to": [
            "\"Grace \\\"G\\\" Ünsal\" <grace@example.org>"
          ]
        }
        "#);
    }
}
