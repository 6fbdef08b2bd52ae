//! What an exchange by HTTP comes to, as far as all channels agree.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderValue, RETRY_AFTER};
use url::Url;

use super::kind::Transport;
use super::outcome::{AttemptOutcome, Cause, NOT_PERMITTED, Receipt, SendError};
use super::outgoing::{Answer, Failure};
use super::redact::Redactor;
use super::retry_after;
use super::truncate::truncate;
use crate::domain::text::plain;

/// Longest name of a fault.
const CODE_MAX: usize = 64;
/// Longest account of a fault.
const MESSAGE_MAX: usize = 300;
/// Longest name of a message.
const ID_MAX: usize = 200;

/// One attempt's point of view.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) transport: Transport,
    pub(super) redactor: &'a Redactor,
    pub(super) now: DateTime<Utc>,
}

impl Exchange<'_> {
    /// Judges by the status, the same for all.
    pub(super) fn classify(&self, answer: &Answer) -> Result<Receipt, SendError> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(Receipt {
                status,
                answer: self.redactor.answer(&answer.body),
                provider_id: None,
            });
        }
        let mut error = SendError::new(outcome_of(status), self.reason(status, None));
        error.status = Some(status);
        error.answer = Some(self.redactor.answer(&answer.body));
        if let AttemptOutcome::Retry { after } | AttemptOutcome::Throttled { after } =
            &mut error.outcome
        {
            // A date is one of the other side's clock.
            let date = answer.header(&DATE).and_then(retry_after::date);
            *after = answer
                .header(&RETRY_AFTER)
                .and_then(|value| retry_after::parse(value, date.unwrap_or(self.now)));
        }
        Err(error)
    }

    /// Puts the provider's own account of a fault to an error, for its reader.
    pub(super) fn explain(&self, error: SendError, code: &str, message: &str) -> SendError {
        let code = self.told(code, CODE_MAX);
        let message = self.told(message, MESSAGE_MAX);
        let told = match (code.as_str(), message.as_str()) {
            ("", told) | (told, "") => told.to_owned(),
            (code, message) if code == message => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        SendError {
            reason: self.reason(error.status.unwrap_or_default(), Some(&told)),
            code: Some(code).filter(|code| !code.is_empty()),
            ..error
        }
    }

    /// Puts the provider's name for the message to its receipt.
    pub(super) fn named(&self, receipt: Receipt, id: Option<&str>) -> Receipt {
        let provider_id = id.map(|id| self.told(id, ID_MAX));
        Receipt {
            provider_id,
            ..receipt
        }
    }

    /// What the other side says, redacted, in one line.
    fn told(&self, text: &str, max: usize) -> String {
        truncate(&plain(&self.redactor.redact(text)), max)
    }

    /// Judges where no answer came.
    pub(super) fn lost(&self, failure: Failure) -> SendError {
        match failure {
            Failure::Refused(refused) => SendError {
                code: refused.is_permittable().then(|| NOT_PERMITTED.to_owned()),
                ..SendError::permanent(Cause::Settings, refused.to_string())
            },
            Failure::Unsent(cause) => SendError::retry(self.redactor.redact(&cause)),
            Failure::Unanswered(cause) => {
                SendError::new(AttemptOutcome::Uncertain, self.redactor.redact(&cause))
            }
        }
    }

    fn reason(&self, status: u16, told: Option<&str>) -> String {
        let name = self.transport.name();
        let phrase = StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .map(|phrase| format!(" {phrase}"))
            .unwrap_or_default();
        let more = match told {
            Some(told) => format!(": {told}"),
            None if (300..400).contains(&status) => "; redirects are not followed".to_owned(),
            None => String::new(),
        };
        format!("{name} answered {status}{phrase}{more}")
    }
}

/// What a status that is no success calls for.
fn outcome_of(status: u16) -> AttemptOutcome {
    match status {
        429 => AttemptOutcome::Throttled { after: None },
        408 | 425 | 500.. => AttemptOutcome::Retry { after: None },
        // Another address, or other credentials, is the target's matter.
        300..=399 | 401 | 403 | 407 => AttemptOutcome::Permanent {
            cause: Cause::Settings,
        },
        _ => AttemptOutcome::Permanent {
            cause: Cause::Message,
        },
    }
}

/// One channel's exception to the rule: these statuses say that the target is no more.
pub(super) fn gone_at(statuses: &[u16], mut error: SendError) -> SendError {
    if error
        .status
        .is_some_and(|status| statuses.contains(&status))
    {
        error.outcome = AttemptOutcome::Permanent { cause: Cause::Gone };
    }
    error
}

/// An address of an API, below its base, which may have a path of its own.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

/// A header that nobody is to read.
pub(super) fn secret_header(value: &str) -> Result<HeaderValue, SendError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        SendError::permanent(Cause::Settings, "the credentials can't be sent in a header")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn bases_may_have_a_path() {
        let below =
            |base: &str| below(&base.parse().expect("an address"), "v3/mail/send").to_string();
        assert_eq!(
            below("https://api.example.com"),
            "https://api.example.com/v3/mail/send"
        );
        assert_eq!(
            below("http://proxy.example/mail/"),
            "http://proxy.example/mail/v3/mail/send"
        );
        assert_eq!(
            below("http://proxy.example/mail"),
            "http://proxy.example/mail/v3/mail/send"
        );
    }

    #[test]
    fn statuses() {
        let mut table = String::new();
        for status in [
            300, 301, 304, 307, 400, 401, 403, 404, 408, 409, 410, 413, 422, 425, 429, 500, 502,
            503, 504, 520, 599,
        ] {
            let _ = writeln!(table, "{status} {:?}", outcome_of(status));
        }
        insta::assert_snapshot!(table, @"
        300 Permanent { cause: Settings }
        301 Permanent { cause: Settings }
        304 Permanent { cause: Settings }
        307 Permanent { cause: Settings }
        400 Permanent { cause: Message }
        401 Permanent { cause: Settings }
        403 Permanent { cause: Settings }
        404 Permanent { cause: Message }
        408 Retry { after: None }
        409 Permanent { cause: Message }
        410 Permanent { cause: Message }
        413 Permanent { cause: Message }
        422 Permanent { cause: Message }
        425 Retry { after: None }
        429 Throttled { after: None }
        500 Retry { after: None }
        502 Retry { after: None }
        503 Retry { after: None }
        504 Retry { after: None }
        520 Retry { after: None }
        599 Retry { after: None }
        ");
    }
}
