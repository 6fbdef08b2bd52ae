//! What an exchange over HTTP comes to, the same for all transports.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{DATE, RETRY_AFTER};

use super::{Answer, Failure, retry_after};
use crate::channels::outcome::{AttemptOutcome, Cause, NOT_PERMITTED, Receipt, SendError};
use crate::channels::redact::Redactor;
use crate::channels::truncate::truncate;
use crate::domain::text::plain;

const CODE_MAX: usize = 64;
const MESSAGE_MAX: usize = 300;
const ID_MAX: usize = 200;

/// One attempt of one transport.
pub struct Exchange<'a> {
    pub transport: &'static str,
    /// Statuses that say that the target no longer exists.
    pub gone: &'static [u16],
    pub redactor: &'a Redactor,
    pub now: DateTime<Utc>,
}

/// What a provider says of an attempt besides the status.
#[derive(Default)]
pub struct Details {
    /// Its identifier of the message.
    pub id: Option<String>,
    /// Its name or number of the error.
    pub code: String,
    /// Its description of the error.
    pub message: String,
    /// What the error means, where that is more than the status says.
    pub outcome: Option<AttemptOutcome>,
    /// When to try again, if that is more exact than the header.
    pub after: Option<Duration>,
}

impl Exchange<'_> {
    pub fn classify(&self, answer: &Answer, details: Details) -> Result<Receipt, SendError> {
        let status = answer.status;
        let kept = self.redactor.answer(&answer.body);
        if (200..300).contains(&status) {
            return Ok(Receipt {
                status,
                answer: kept,
                provider_id: details.id.map(|id| self.line(&id, ID_MAX)),
            });
        }
        let mut outcome = outcome_of(status);
        if self.gone.contains(&status) {
            outcome = AttemptOutcome::Permanent { cause: Cause::Gone };
        }
        if let Some(meant) = details.outcome
            && !matches!(outcome, AttemptOutcome::Throttled { .. })
        {
            outcome = meant;
        }
        if let AttemptOutcome::Retry { after } | AttemptOutcome::Throttled { after } = &mut outcome
        {
            *after = details.after.or_else(|| self.retry_after(answer));
        }
        let code = self.line(&details.code, CODE_MAX);
        let message = self.line(&details.message, MESSAGE_MAX);
        let description = match (code.as_str(), message.as_str()) {
            ("", only) | (only, "") => only.to_owned(),
            (code, message) if code == message => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        Err(SendError {
            outcome,
            reason: self.reason(status, &description),
            status: Some(status),
            code: Some(code).filter(|code| !code.is_empty()),
            answer: Some(kept),
        })
    }

    /// Where no answer came.
    pub fn failed(&self, failure: Failure) -> SendError {
        match failure {
            Failure::Refused(refused) => SendError {
                code: refused.is_permittable().then(|| NOT_PERMITTED.to_owned()),
                ..SendError::permanent(Cause::Settings, refused.to_string())
            },
            Failure::Unsent(reason) => SendError::retry(self.redactor.redact(&reason)),
            Failure::Unanswered(reason) => {
                SendError::new(AttemptOutcome::Uncertain, self.redactor.redact(&reason))
            }
        }
    }

    fn retry_after(&self, answer: &Answer) -> Option<Duration> {
        // A date is one of the other side's clock.
        let date = answer.header(&DATE).and_then(retry_after::date);
        let value = answer.header(&RETRY_AFTER)?;
        retry_after::parse(value, date.unwrap_or(self.now))
    }

    /// What the other side says, redacted, in one line.
    fn line(&self, text: &str, max: usize) -> String {
        truncate(&plain(&self.redactor.redact(text)), max)
    }

    fn reason(&self, status: u16, description: &str) -> String {
        let known = StatusCode::from_u16(status).ok();
        let phrase = known.and_then(|status| status.canonical_reason());
        let phrase = phrase.map_or_else(String::new, |phrase| format!(" {phrase}"));
        let more = match description {
            "" if (300..400).contains(&status) => "; redirects are not followed".to_owned(),
            "" => String::new(),
            description => format!(": {description}"),
        };
        format!("{} answered {status}{phrase}{more}", self.transport)
    }
}

/// What a status other than success means.
fn outcome_of(status: u16) -> AttemptOutcome {
    match status {
        429 => AttemptOutcome::Throttled { after: None },
        408 | 425 | 500.. => AttemptOutcome::Retry { after: None },
        // Another address or other credentials are up to whoever configured the target.
        300..=399 | 401 | 403 | 407 => AttemptOutcome::Permanent {
            cause: Cause::Settings,
        },
        _ => AttemptOutcome::Permanent {
            cause: Cause::Message,
        },
    }
}
