//! What came of an attempt.

use std::time::Duration;

pub(super) const ANSWER_KEPT: usize = 2_048;

/// The other side accepted the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Of HTTP or SMTP.
    pub status: u16,
    /// Truncated and redacted.
    pub answer: String,
    /// The provider's identifier of the message.
    pub provider_id: Option<String>,
}

/// An attempt without a [`Receipt`], and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    pub outcome: AttemptOutcome,
    /// For people; redacted.
    pub reason: String,
    /// Of HTTP or SMTP, if an answer came.
    pub status: Option<u16>,
    /// The provider's name or number of the error, or [`NOT_PERMITTED`].
    pub code: Option<String>,
    /// Truncated and redacted.
    pub answer: Option<String>,
}

/// The code of a message that was not sent because the policy does not permit its address.
pub const NOT_PERMITTED: &str = "not_permitted";

/// What to do about a message that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Try again.
    Retry {
        /// Not before this has passed, and nothing else to the same target either.
        after: Option<Duration>,
    },
    /// A rate limit: the other side did not look at the message, so this is not a failure.
    Throttled {
        /// How long to wait, if it says so.
        after: Option<Duration>,
    },
    /// The same attempt would fail again.
    Permanent { cause: Cause },
    /// It may or may not have arrived: the connection broke after everything was sent. Trying
    /// again may deliver it twice.
    Uncertain,
}

/// What has to change before another attempt can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The recipient alone: others can be reached.
    Recipient,
    /// This message, as far as the answer tells. Where every message is answered like this, it is
    /// the account.
    Message,
    /// A limit or policy of the other side, which may be about all messages.
    Policy,
    /// Address, credentials or account: every message to the target fails until a person fixes it.
    Settings,
    /// The target no longer exists: disable it.
    Gone,
}

impl SendError {
    /// A failure without an answer.
    pub fn new(outcome: AttemptOutcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            status: None,
            code: None,
            answer: None,
        }
    }

    pub fn retry(reason: impl Into<String>) -> Self {
        Self::new(AttemptOutcome::Retry { after: None }, reason)
    }

    pub fn permanent(cause: Cause, reason: impl Into<String>) -> Self {
        Self::new(AttemptOutcome::Permanent { cause }, reason)
    }
}
