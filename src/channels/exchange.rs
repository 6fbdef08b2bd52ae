//! What an exchange by HTTP comes to, as far as all channels agree.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderValue, RETRY_AFTER};
use url::Url;

use super::kind::Transport;
use super::limits::cut;
use super::mask::Mask;
use super::outcome::{Blame, NOT_PERMITTED, Receipt, SendError, Verdict};
use super::outgoing::{Answer, Failure};
use super::retry_after;
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
    pub(super) mask: &'a Mask,
    pub(super) now: DateTime<Utc>,
}

impl Exchange<'_> {
    /// Judges by the status, the same for all.
    pub(super) fn judge(&self, answer: &Answer) -> Result<Receipt, SendError> {
        let status = answer.status;
        if (200..300).contains(&status) {
            return Ok(Receipt {
                status,
                answer: self.mask.answer(&answer.body),
                provider_id: None,
            });
        }
        let mut error = SendError::new(verdict_of(status), self.reason(status, None));
        error.status = Some(status);
        error.answer = Some(self.mask.answer(&answer.body));
        if let Verdict::Retry { after } | Verdict::Throttled { after } = &mut error.verdict {
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

    /// What the other side says, masked, in one line.
    fn told(&self, text: &str, max: usize) -> String {
        cut(&plain(&self.mask.apply(text)), max)
    }

    /// Judges where no answer came.
    pub(super) fn lost(&self, failure: Failure) -> SendError {
        match failure {
            Failure::Refused(refused) => SendError {
                code: refused.is_permittable().then(|| NOT_PERMITTED.to_owned()),
                ..SendError::permanent(Blame::Settings, refused.to_string())
            },
            Failure::Unsent(cause) => SendError::retry(self.mask.apply(&cause)),
            Failure::Unanswered(cause) => {
                SendError::new(Verdict::Uncertain, self.mask.apply(&cause))
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
fn verdict_of(status: u16) -> Verdict {
    match status {
        429 => Verdict::Throttled { after: None },
        408 | 425 | 500.. => Verdict::Retry { after: None },
        // Another address, or other credentials, is the target's matter.
        300..=399 | 401 | 403 | 407 => Verdict::Permanent {
            blame: Blame::Settings,
        },
        _ => Verdict::Permanent {
            blame: Blame::Message,
        },
    }
}

/// One channel's exception to the rule: these statuses say that the target is no more.
pub(super) fn gone_at(statuses: &[u16], mut error: SendError) -> SendError {
    if error
        .status
        .is_some_and(|status| statuses.contains(&status))
    {
        error.verdict = Verdict::Permanent { blame: Blame::Gone };
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
        SendError::permanent(Blame::Settings, "the credentials can't be sent in a header")
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
            let _ = writeln!(table, "{status} {:?}", verdict_of(status));
        }
        insta::assert_snapshot!(table, @"
        300 Permanent { blame: Settings }
        301 Permanent { blame: Settings }
        304 Permanent { blame: Settings }
        307 Permanent { blame: Settings }
        400 Permanent { blame: Message }
        401 Permanent { blame: Settings }
        403 Permanent { blame: Settings }
        404 Permanent { blame: Message }
        408 Retry { after: None }
        409 Permanent { blame: Message }
        410 Permanent { blame: Message }
        413 Permanent { blame: Message }
        422 Permanent { blame: Message }
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
