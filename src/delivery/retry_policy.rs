//! Retry policy: maps the result of an attempt to the next state of its delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use super::states::{Code, DeliveryStatus, Outcome};
use crate::channels::{AttemptOutcome, Cause, Channel, Receipt, Retry, SendError};
use crate::domain::schedule::{LONGEST, Schedule};

/// For this long after its first attempt, a throttled message is charged no attempt: it was never
/// processed.
const UNCHARGED_FOR: Duration = Duration::from_hours(24);
/// The shortest pause of a throttled target.
const MIN_THROTTLE: Duration = Duration::from_secs(1);
/// After this many consecutive failures the circuit breaker of a target opens.
pub(super) const FAILURES_MAX: u32 = 5;
/// SMTP replies about one mailbox or one e-mail: busy, greylisted, full (RFC 5321, 4.2.3).
const ABOUT_ONE_EMAIL: [u16; 4] = [450, 451, 452, 455];
/// HTTP statuses of a wrong address or account: unpaid, not found, method not allowed.
const ABOUT_THE_ACCOUNT: [u16; 3] = [402, 404, 405];

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// The schedule of e-mails and text messages.
    pub patient: Schedule,
    /// The schedule of chats and webhooks.
    pub eager: Schedule,
    /// Channels whose uncertain messages are held for a person; those of the others are sent again.
    pub hold_uncertain: BTreeSet<Channel>,
}

impl RetryPolicy {
    /// The schedule of a channel.
    pub fn schedule(&self, channel: Channel) -> &Schedule {
        match channel.spec().retry {
            Retry::Patient => &self.patient,
            Retry::Eager => &self.eager,
        }
    }
}

/// The next state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Next {
    Delivered,
    Retry {
        after: Duration,
        /// Whether the attempt counts.
        is_charged: bool,
    },
    Dead,
    Cancelled,
    Uncertain,
}

impl Next {
    /// The end that a statement decided; `None`: the delivery is pending.
    pub(super) fn ended(status: &str) -> Result<Option<Self>, sqlx::Error> {
        Ok(Some(match DeliveryStatus::parse(status)? {
            DeliveryStatus::Delivered => Self::Delivered,
            DeliveryStatus::Dead => Self::Dead,
            DeliveryStatus::Cancelled => Self::Cancelled,
            DeliveryStatus::Uncertain => Self::Uncertain,
            DeliveryStatus::Pending | DeliveryStatus::Sending => return Ok(None),
        }))
    }

    /// Another attempt at once, as if this one had not been made.
    pub(super) const AT_ONCE: Self = Self::uncharged(Duration::ZERO);

    /// Another attempt, as if this one had not been made.
    pub(super) const fn uncharged(after: Duration) -> Self {
        Self::Retry {
            after,
            is_charged: false,
        }
    }

    /// As `notification_deliveries.status` has it.
    pub(super) fn status(self) -> DeliveryStatus {
        match self {
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Retry { .. } => DeliveryStatus::Pending,
            Self::Dead => DeliveryStatus::Dead,
            Self::Cancelled => DeliveryStatus::Cancelled,
            Self::Uncertain => DeliveryStatus::Uncertain,
        }
    }
}

/// What an attempt says about its target, for the circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetSignal {
    None,
    /// It limits the rate.
    Throttled,
    /// It was unreachable or refused everything.
    Failed,
    /// It no longer exists.
    Gone,
}

/// The result of a delivery, to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) next: Next,
    pub(super) reason: Option<String>,
    pub(super) code: Option<String>,
    pub(super) signal: TargetSignal,
    /// For how long the target is paused.
    pub(super) pause: Option<Duration>,
}

impl Decision {
    /// A delivery that was not attempted.
    pub(super) fn without_attempt(next: Next, code: Code, reason: impl Into<String>) -> Self {
        Self {
            next,
            reason: Some(reason.into()),
            code: Some(code.name().to_owned()),
            signal: TargetSignal::None,
            pause: None,
        }
    }
}

/// The delivery that was attempted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempted {
    pub(super) channel: Channel,
    /// This one included.
    pub(super) attempts: u32,
    /// Since the first attempt.
    pub(super) tried_for: Duration,
    /// Whether its target is a transport for all recipients rather than one receiver.
    pub(super) is_shared: bool,
    /// Consecutive failures of its target when it was leased.
    pub(super) failures: u32,
}

/// Decides. `jitter` is drawn from 0.0 ..= 1.0.
pub(super) fn decide(
    retry_policy: &RetryPolicy,
    it: Attempted,
    result: &Result<Receipt, SendError>,
    jitter: f64,
) -> Decision {
    let Err(error) = result else {
        return Decision {
            next: Next::Delivered,
            reason: None,
            code: None,
            signal: TargetSignal::None,
            pause: None,
        };
    };
    let scheduled = retry_policy.schedule(it.channel).delay(it.attempts, jitter);
    let retry_or_die = |floor: Duration| match scheduled {
        Some(delay) => Next::Retry {
            after: delay.max(floor),
            is_charged: true,
        },
        None => Next::Dead,
    };
    let is_among = |statuses: &[u16]| {
        it.is_shared
            && error
                .status
                .is_some_and(|status| statuses.contains(&status))
    };
    let (next, signal, pause) = match error.outcome {
        AttemptOutcome::Throttled { after } => {
            let after = after.unwrap_or_default().clamp(MIN_THROTTLE, LONGEST);
            let next = if it.tried_for < UNCHARGED_FOR {
                // Its target is paused; it is due as soon as the pause ends.
                Next::AT_ONCE
            } else {
                retry_or_die(after)
            };
            (next, TargetSignal::Throttled, Some(after))
        }
        AttemptOutcome::Retry { after: Some(after) } => {
            let after = after.min(LONGEST);
            (retry_or_die(after), TargetSignal::Failed, Some(after))
        }
        // The credentials or the sender are wrong: every message would be answered like this.
        AttemptOutcome::Permanent { cause }
            if it.is_shared && matches!(cause, Cause::Settings | Cause::Gone)
                || is_among(&ABOUT_THE_ACCOUNT) =>
        {
            let pause = retry_policy.schedule(it.channel).delay(1, jitter);
            (retry_or_die(Duration::ZERO), TargetSignal::Failed, pause)
        }
        // Perhaps caused by the account; certainly if every message is answered like this, which the
        // circuit breaker counts.
        AttemptOutcome::Permanent { cause }
            if it.is_shared
                && (cause == Cause::Policy
                    || cause == Cause::Message && it.failures >= FAILURES_MAX) =>
        {
            (retry_or_die(Duration::ZERO), TargetSignal::Failed, None)
        }
        AttemptOutcome::Permanent { cause } => {
            let signal = match cause {
                Cause::Message if it.is_shared => TargetSignal::Failed,
                Cause::Recipient | Cause::Message | Cause::Policy => TargetSignal::None,
                Cause::Settings => TargetSignal::Failed,
                Cause::Gone => TargetSignal::Gone,
            };
            (Next::Dead, signal, None)
        }
        AttemptOutcome::Uncertain if retry_policy.hold_uncertain.contains(&it.channel) => {
            (Next::Uncertain, TargetSignal::Failed, None)
        }
        // The next e-mail may well be accepted.
        AttemptOutcome::Retry { after: None } if is_among(&ABOUT_ONE_EMAIL) => {
            (retry_or_die(Duration::ZERO), TargetSignal::None, None)
        }
        AttemptOutcome::Retry { after: None } | AttemptOutcome::Uncertain => {
            (retry_or_die(Duration::ZERO), TargetSignal::Failed, None)
        }
    };
    let reason = match (next, error.outcome) {
        (
            Next::Dead,
            AttemptOutcome::Retry { .. }
            | AttemptOutcome::Throttled { .. }
            | AttemptOutcome::Uncertain,
        ) => {
            format!("failed after {} attempts: {}", it.attempts, error.reason)
        }
        _ => error.reason.clone(),
    };
    Decision {
        next,
        reason: Some(reason),
        code: Some(code(error)),
        signal,
        pause,
    }
}

/// The class of the failure, for filters.
fn code(error: &SendError) -> String {
    let named = error.code.clone();
    let status = error.status.map(|status| status.to_string());
    named.or(status).unwrap_or_else(|| {
        match error.outcome {
            AttemptOutcome::Retry { .. } => Code::NoAnswer,
            AttemptOutcome::Throttled { .. } => Code::Throttled,
            AttemptOutcome::Permanent { .. } => Code::Refused,
            AttemptOutcome::Uncertain => Code::Uncertain,
        }
        .name()
        .to_owned()
    })
}

/// What an attempt is called in the log.
pub(super) fn outcome(result: &Result<Receipt, SendError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Delivered,
        Err(error) => match error.outcome {
            AttemptOutcome::Retry { .. } | AttemptOutcome::Throttled { .. } => Outcome::Retry,
            AttemptOutcome::Permanent { .. } => Outcome::Permanent,
            AttemptOutcome::Uncertain => Outcome::Uncertain,
        },
    }
}

#[cfg(test)]
mod tests;
