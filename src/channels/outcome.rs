//! What became of an attempt.

use std::time::Duration;

/// Longest part of an answer that is kept, in bytes.
pub(super) const ANSWER_KEPT: usize = 2_048;

/// Proof that the other side took a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The status it answered with, of HTTP or SMTP.
    pub status: u16,
    /// The first [`ANSWER_KEPT`] bytes of what it said, redacted.
    pub answer: String,
    /// The name that the provider gave the message.
    pub provider_id: Option<String>,
}

/// An attempt that has no [`Receipt`], and what is to be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct SendError {
    /// The decision.
    pub outcome: AttemptOutcome,
    /// Why, for people; redacted.
    pub reason: String,
    /// The status of the answer, of HTTP or SMTP, if one came.
    pub status: Option<u16>,
    /// The provider's own name or number for the fault, or [`NOT_PERMITTED`].
    pub code: Option<String>,
    /// The first [`ANSWER_KEPT`] bytes of the answer, redacted.
    pub answer: Option<String>,
}

/// The code of a message that was not sent, because its address is not permitted and could be.
pub const NOT_PERMITTED: &str = "not_permitted";

/// What is to be done about a message that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Try again.
    Retry {
        /// Not before this has passed, and nothing else to the same target either.
        after: Option<Duration>,
    },
    /// The other side takes only so many at a time and did not look at this one. That is no failure.
    Throttled {
        /// For how long it wants to be left alone, if it says so.
        after: Option<Duration>,
    },
    /// Don't: the same attempt would fail again.
    Permanent {
        /// What has to change first.
        cause: Cause,
    },
    /// It may or may not have arrived: the connection broke after everything was sent. Trying
    /// again may deliver it twice.
    Uncertain,
}

/// What is at fault where trying again is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The recipient alone: others can be reached.
    Recipient,
    /// This message, as far as the answer tells. Where every message is answered like this, it is
    /// the account.
    Message,
    /// A limit or policy of the other side, which may be about all messages.
    Policy,
    /// Address, credentials or account: any message to the target would fare alike until a
    /// person mends it.
    Settings,
    /// The target is no more: it is to be disabled.
    Gone,
}

impl SendError {
    /// A failure without an answer.
    #[must_use]
    pub fn new(outcome: AttemptOutcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            status: None,
            code: None,
            answer: None,
        }
    }

    /// One that calls for another attempt, at no particular time.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::new(AttemptOutcome::Retry { after: None }, reason)
    }

    /// One that no further attempt would mend.
    #[must_use]
    pub fn permanent(cause: Cause, reason: impl Into<String>) -> Self {
        Self::new(AttemptOutcome::Permanent { cause }, reason)
    }

    /// Whether the endpoint is to be disabled.
    #[must_use]
    pub fn disables_endpoint(&self) -> bool {
        self.outcome == AttemptOutcome::Permanent { cause: Cause::Gone }
    }
}
