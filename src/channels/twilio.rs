//! Text messages by the Twilio API.
//!
//! Errors: <https://www.twilio.com/docs/api/errors>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use url::form_urlencoded::Serializer;

use super::http::{Answer, Details, Request, below};
use super::redact::Redactor;
use super::{AttemptOutcome, Cause, PhoneNumber, SendError, Transport};

/// It knows no idempotency key, so an attempt without an answer is uncertain.
#[derive(Debug, Clone)]
pub struct Twilio {
    /// The account, `AC…`.
    pub account: String,
    pub credentials: Credentials,
    pub sender: Sender,
    pub base: Url,
}

#[derive(Debug, Clone)]
pub enum Credentials {
    /// The account's own token.
    AuthToken(SecretString),
    /// A key, `SK…`, that can be withdrawn by itself.
    ApiKey { sid: String, secret: SecretString },
}

/// Whom messages are from.
#[derive(Debug, Clone)]
pub enum Sender {
    /// A number of the account's.
    Number(PhoneNumber),
    /// A messaging service, `MG…`, which picks a number.
    Service(String),
}

impl Twilio {
    /// Where the API is by default; other regions have others.
    pub const BASE: &str = "https://api.twilio.com";

    fn basic_auth(&self) -> String {
        let (user, secret) = match &self.credentials {
            Credentials::AuthToken(token) => (&self.account, token),
            Credentials::ApiKey { sid, secret } => (sid, secret),
        };
        STANDARD.encode(format!("{user}:{}", secret.expose_secret()))
    }
}

impl Transport for Twilio {
    type Target = PhoneNumber;
    type Message = str;

    const NAME: &'static str = "twilio";

    fn redactor(&self, to: &PhoneNumber) -> Redactor {
        let (Credentials::AuthToken(secret) | Credentials::ApiKey { secret, .. }) =
            &self.credentials;
        Redactor::default()
            .hiding(secret.expose_secret())
            .hiding(&self.basic_auth())
            // Redacted by itself only where a plus sign marks it as a number.
            .hiding(&to.as_str()[1..])
    }

    fn request(
        &self,
        target: &PhoneNumber,
        message: &str,
        _: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        let path = format!("2010-04-01/Accounts/{}/Messages.json", self.account);
        let body = body(target, &self.sender, message);
        let form = "application/x-www-form-urlencoded";
        Request::post(below(&self.base, &path), form, body)
            .with_secret(AUTHORIZATION, &format!("Basic {}", self.basic_auth()))
    }

    /// `{"code", "message", "status"}`.
    fn details(answer: &Answer, _: DateTime<Utc>) -> Details {
        let body = answer.json();
        let code = body["code"].as_u64();
        Details {
            id: body["sid"].as_str().map(str::to_owned),
            outcome: code.and_then(outcome_of),
            code: code.map(|code| code.to_string()).unwrap_or_default(),
            message: body["message"].as_str().unwrap_or_default().to_owned(),
            after: None,
        }
    }
}

/// What a code means, whatever the status. 429 alone comes with a time to wait for.
fn outcome_of(code: u64) -> Option<AttemptOutcome> {
    let cause = match code {
        // Too many requests; too many messages queued for the sender's number.
        20_429 | 21_611 => return Some(AttemptOutcome::Throttled { after: None }),
        // No such number; the recipient said STOP; not a mobile phone.
        21_211 | 21_610 | 21_614 => Cause::Recipient,
        // The sender is no number of the account's, or none that can send text messages; the
        // messaging service is unknown or has no sender.
        21_212 | 21_601 | 21_603 | 21_606 | 21_659 | 21_660 | 21_701..=21_705 => Cause::Settings,
        // No permission for the region: others may be reached.
        21_408 => Cause::Policy,
        _ => return None,
    };
    Some(AttemptOutcome::Permanent { cause })
}

fn body(to: &PhoneNumber, sender: &Sender, message: &str) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("To", to.as_str());
    match sender {
        Sender::Number(number) => form.append_pair("From", number.as_str()),
        Sender::Service(sid) => form.append_pair("MessagingServiceSid", sid),
    };
    form.append_pair("Body", message);
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_be_the_sender() {
        let to = "+4915112345678".parse().expect("a number");
        let body = body(&to, &Sender::Service("MG1".to_owned()), "12 €\n& more");
        let expected = "To=%2B4915112345678&MessagingServiceSid=MG1&Body=12+%E2%82%AC%0A%26+more";
        assert_eq!(body, expected);
    }
}
