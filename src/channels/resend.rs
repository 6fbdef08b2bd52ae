//! Mails by the Resend API.
//!
//! Faults: <https://resend.com/docs/api-reference/errors>.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::Channel;
use super::email::{EmailMessage, Mailbox};
use super::exchange::{Exchange, below, secret_header};
use super::kind::Transport;
use super::outcome::{AttemptOutcome, Cause, Receipt, SendError};
use super::outgoing::{Answer, Outgoing, Request};
use super::redact::Redactor;

/// Most mails of one request.
pub const BATCH_MAX: usize = 100;

/// The way through Resend.
#[derive(Debug, Clone)]
pub struct Resend {
    /// The shared client.
    pub outgoing: Outgoing,
    /// The key of the account.
    pub api_key: SecretString,
    /// Where the API is.
    pub base: Url,
}

impl Resend {
    /// Where the API is, unless it is told otherwise.
    pub const BASE: &str = "https://api.resend.com";

    /// Sends up to [`BATCH_MAX`] mails in one request; what is beyond is not sent.
    ///
    /// What becomes of each stands in the place of the mail. The batch has one idempotency key,
    /// made of those of its mails: sent again, it has to consist of the same mails in the same
    /// order. As a whole it fails for faults of the request, of which one bad mail may be the
    /// cause: after a permanent failure to blame on the message, each is to be sent alone.
    pub async fn send_batch(
        &self,
        mails: &[(&Mailbox, &EmailMessage)],
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<Receipt, SendError>>, SendError> {
        let mails = &mails[..mails.len().min(BATCH_MAX)];
        if mails.is_empty() {
            return Ok(Vec::new());
        }
        let redactor = self.redactor();
        let exchange = self.exchange(&redactor, now);
        let body: Value = mails.iter().map(|(to, mail)| body(to, mail)).collect();
        let mut request = self.headers(&key_of(mails))?;
        // Without it, one bad address would stop them all.
        request.insert("x-batch-validation", HeaderValue::from_static("permissive"));
        let answer = self.post(&exchange, "emails/batch", request, &body).await?;
        let receipt = classify(&exchange, &answer)?;
        Ok(each(&exchange, &receipt, &answer.json(), mails.len()))
    }

    async fn post(
        &self,
        exchange: &Exchange<'_>,
        path: &str,
        headers: HeaderMap,
        body: &Value,
    ) -> Result<Answer, SendError> {
        let url = below(&self.base, path);
        let mut request = Request::json(&url, body);
        request.headers.extend(headers);
        let answered = self.outgoing.exchange(request).await;
        answered.map_err(|failure| exchange.lost(failure))
    }

    fn redactor(&self) -> Redactor {
        Redactor::default().hiding(self.api_key.expose_secret())
    }

    fn exchange<'a>(&self, redactor: &'a Redactor, now: DateTime<Utc>) -> Exchange<'a> {
        Exchange {
            transport: self.transport(),
            redactor,
            now,
        }
    }

    fn headers(&self, key: &str) -> Result<HeaderMap, SendError> {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.api_key.expose_secret());
        headers.insert(AUTHORIZATION, secret_header(&bearer)?);
        headers.insert("idempotency-key", secret_header(key)?);
        Ok(headers)
    }
}

impl Channel for Resend {
    type Target = Mailbox;
    type Message = EmailMessage;

    fn transport(&self) -> Transport {
        Transport::Resend
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
        let redactor = self.redactor();
        let exchange = self.exchange(&redactor, now);
        let headers = self.headers(message.key.as_str())?;
        let body = body(target, message);
        let answer = self.post(&exchange, "emails", headers, &body).await?;
        let receipt = classify(&exchange, &answer)?;
        Ok(exchange.named(receipt, answer.json()["id"].as_str()))
    }
}

/// Faults are told as `{"statusCode", "name", "message"}`. A conflict is permanent, unless it is
/// with another attempt at the same mail that is still under way.
fn classify(exchange: &Exchange<'_>, answer: &Answer) -> Result<Receipt, SendError> {
    let mut error = match exchange.classify(answer) {
        Ok(receipt) => return Ok(receipt),
        Err(error) => error,
    };
    let told = answer.json();
    let name = told["name"].as_str().unwrap_or_default();
    if answer.status == 409 && name == "concurrent_idempotent_requests" {
        error.outcome = AttemptOutcome::Retry { after: None };
    }
    if name == "invalid_from_address" {
        let cause = Cause::Settings;
        error.outcome = AttemptOutcome::Permanent { cause };
    }
    let message = told["message"].as_str().unwrap_or_default();
    if name.is_empty() && message.is_empty() {
        return Err(error);
    }
    Err(exchange.explain(error, name, message))
}

/// What became of each mail of a batch: `errors` names those that were refused by their place,
/// `data` has the names of the others in their order.
fn each(
    exchange: &Exchange<'_>,
    receipt: &Receipt,
    told: &Value,
    count: usize,
) -> Vec<Result<Receipt, SendError>> {
    let errors = told["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let names = told["data"].as_array().map_or(&[][..], Vec::as_slice);
    let mut names = names.iter().map(|one| one["id"].as_str());
    let taken = |id: Option<&str>| {
        let receipt = Receipt {
            answer: String::new(),
            ..receipt.clone()
        };
        exchange.named(receipt, id)
    };
    let refused = |error: &Value| {
        let mut refused = SendError::permanent(Cause::Message, "");
        refused.status = Some(receipt.status);
        refused.answer = Some(exchange.redactor.answer(error.to_string().as_bytes()));
        let message = error["message"].as_str().unwrap_or_default();
        exchange.explain(refused, "validation_error", message)
    };
    let outcome = |at| match errors.iter().find(|error| error["index"] == json!(at)) {
        Some(error) => Err(refused(error)),
        None => Ok(taken(names.next().flatten())),
    };
    (0..count).map(outcome).collect()
}

/// A key for the batch, the same for the same mails.
fn key_of(mails: &[(&Mailbox, &EmailMessage)]) -> String {
    let mut digest = Sha256::new();
    for (_, mail) in mails {
        digest.update(mail.key.as_str());
        digest.update("\n");
    }
    format!("batch-{}", URL_SAFE_NO_PAD.encode(digest.finalize()))
}

/// The same bytes for the same mail, or the idempotency key would be refused.
fn body(to: &Mailbox, mail: &EmailMessage) -> Value {
    let mut headers: Map<String, Value> = mail
        .kind_headers()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    headers.insert("Message-ID".to_owned(), mail.message_id().into());
    let mut body = json!({
        "from": mail.from.written(),
        "to": [to.written()],
        "subject": mail.subject(),
        "text": mail.text,
        "html": mail.html,
        "headers": headers,
    });
    if let Some(reply_to) = &mail.reply_to {
        body["reply_to"] = json!([reply_to.written()]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::email::tests::{mailbox, sample};

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

    #[test]
    fn batches_have_a_key_of_their_mails() {
        let (to, a) = (mailbox("a@example.org"), sample());
        let b = EmailMessage {
            key: "email.b".parse().expect("a key"),
            ..sample()
        };
        assert_eq!(
            key_of(&[(&to, &a), (&to, &b)]),
            key_of(&[(&to, &a), (&to, &b)])
        );
        assert_ne!(
            key_of(&[(&to, &a), (&to, &b)]),
            key_of(&[(&to, &b), (&to, &a)])
        );
        assert!(key_of(&[(&to, &a)]).len() <= 256);
    }

    #[test]
    fn each_mail_of_a_batch() {
        let redactor = Redactor::default();
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let exchange = Exchange {
            transport: Transport::Resend,
            redactor: &redactor,
            now,
        };
        let receipt = Receipt {
            status: 200,
            answer: String::new(),
            provider_id: None,
        };
        let told = json!({
            "data": [{ "id": "first" }, { "id": "third" }],
            "errors": [{ "index": 1, "message": "Invalid `to` field: ada@example" }],
        });
        let told: Vec<_> = each(&exchange, &receipt, &told, 3)
            .into_iter()
            .map(|one| {
                one.map(|receipt| receipt.provider_id)
                    .map_err(|error| (error.outcome, error.reason))
            })
            .collect();
        insta::assert_debug_snapshot!(told, @r#"
        [
            Ok(
                Some(
                    "first",
                ),
            ),
            Err(
                (
                    Permanent {
                        cause: Message,
                    },
                    "resend answered 200 OK: validation_error: Invalid `to` field: a…@example",
                ),
            ),
            Ok(
                Some(
                    "third",
                ),
            ),
        ]
        "#);
    }
}
