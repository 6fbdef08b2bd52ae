//! Retry policy: maps the result of an attempt to the next state of its delivery.

use std::collections::BTreeSet;
use std::time::Duration;

use super::leased::Leased;
use super::states::{Code, DeliveryStatus, Outcome};
use crate::channels::{AttemptOutcome, Cause, Channel, Receipt, Retry, SendError};
use crate::domain::schedule::{LONGEST, Schedule};

/// For this long after its first attempt, a throttled message is charged no attempt: it was never
/// processed.
const UNCHARGED_FOR: Duration = Duration::from_hours(24);
/// The shortest pause of a throttled target.
const MIN_THROTTLE: Duration = Duration::from_secs(1);
/// After this many consecutive failures the circuit breaker of a target opens.
pub(super) const FAILURES_MAX: i32 = 5;
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
    pub(super) fn ended(status: DeliveryStatus) -> Option<Self> {
        match status {
            DeliveryStatus::Delivered => Some(Self::Delivered),
            DeliveryStatus::Dead => Some(Self::Dead),
            DeliveryStatus::Cancelled => Some(Self::Cancelled),
            DeliveryStatus::Uncertain => Some(Self::Uncertain),
            DeliveryStatus::Pending | DeliveryStatus::Sending => None,
        }
    }

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

    pub(super) fn cancelled(code: Code, reason: impl Into<String>) -> Self {
        Self::without_attempt(Next::Cancelled, code, reason)
    }

    pub(super) fn dead(code: Code, reason: impl Into<String>) -> Self {
        Self::without_attempt(Next::Dead, code, reason)
    }
}

/// Decides about a delivery that was attempted. `jitter` is drawn from 0.0 ..= 1.0.
pub(super) fn decide(
    retry_policy: &RetryPolicy,
    leased: &Leased,
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
    let failure = Failure {
        retry_policy,
        leased,
        error,
        jitter,
    };
    let (next, signal, pause) = failure.next();
    let is_permanent = matches!(error.outcome, AttemptOutcome::Permanent { .. });
    let reason = if next == Next::Dead && !is_permanent {
        let attempts = leased.attempts;
        format!("failed after {attempts} attempts: {}", error.reason)
    } else {
        error.reason.clone()
    };
    Decision {
        next,
        reason: Some(reason),
        code: Some(code(error)),
        signal,
        pause,
    }
}

struct Failure<'a> {
    retry_policy: &'a RetryPolicy,
    leased: &'a Leased,
    error: &'a SendError,
    jitter: f64,
}

impl Failure<'_> {
    fn next(&self) -> (Next, TargetSignal, Option<Duration>) {
        match self.error.outcome {
            AttemptOutcome::Throttled { after } => {
                let after = after.unwrap_or_default().clamp(MIN_THROTTLE, LONGEST);
                let next = if self.leased.tried_for() < UNCHARGED_FOR {
                    // Its target is paused; it is due as soon as the pause ends.
                    Next::uncharged(Duration::ZERO)
                } else {
                    self.retry_or_die(after)
                };
                (next, TargetSignal::Throttled, Some(after))
            }
            AttemptOutcome::Retry { after: Some(after) } => {
                let after = after.min(LONGEST);
                (self.retry_or_die(after), TargetSignal::Failed, Some(after))
            }
            AttemptOutcome::Permanent { cause } => self.permanent(cause),
            AttemptOutcome::Uncertain if self.is_held() => {
                (Next::Uncertain, TargetSignal::Failed, None)
            }
            // The next e-mail may well be accepted.
            AttemptOutcome::Retry { after: None } if self.is_among(&ABOUT_ONE_EMAIL) => {
                (self.retry_or_die(Duration::ZERO), TargetSignal::None, None)
            }
            AttemptOutcome::Retry { after: None } | AttemptOutcome::Uncertain => {
                let next = self.retry_or_die(Duration::ZERO);
                (next, TargetSignal::Failed, None)
            }
        }
    }

    fn permanent(&self, cause: Cause) -> (Next, TargetSignal, Option<Duration>) {
        let retry = self.retry_or_die(Duration::ZERO);
        let is_shared = self.leased.is_shared();
        match cause {
            // The credentials or the sender are wrong: every message would be answered like this.
            _ if self.is_among(&ABOUT_THE_ACCOUNT) => (retry, TargetSignal::Failed, self.delay(1)),
            Cause::Settings | Cause::Gone if is_shared => {
                (retry, TargetSignal::Failed, self.delay(1))
            }
            // Perhaps caused by the account; certainly if every message is answered like this, which the
            // circuit breaker counts.
            Cause::Policy if is_shared => (retry, TargetSignal::Failed, None),
            Cause::Message if is_shared && self.leased.failures >= FAILURES_MAX => {
                (retry, TargetSignal::Failed, None)
            }
            Cause::Message if is_shared => (Next::Dead, TargetSignal::Failed, None),
            Cause::Settings => (Next::Dead, TargetSignal::Failed, None),
            Cause::Recipient | Cause::Message | Cause::Policy => {
                (Next::Dead, TargetSignal::None, None)
            }
            Cause::Gone => (Next::Dead, TargetSignal::Gone, None),
        }
    }

    fn retry_or_die(&self, floor: Duration) -> Next {
        let delay = self.delay(self.leased.attempts.unsigned_abs());
        delay.map_or(Next::Dead, |delay| Next::Retry {
            after: delay.max(floor),
            is_charged: true,
        })
    }

    fn delay(&self, attempts: u32) -> Option<Duration> {
        let schedule = self.retry_policy.schedule(self.leased.channel);
        schedule.delay(attempts, self.jitter)
    }

    fn is_held(&self) -> bool {
        let held = &self.retry_policy.hold_uncertain;
        held.contains(&self.leased.channel)
    }

    /// Whether a transport for all recipients answered one of these.
    fn is_among(&self, statuses: &[u16]) -> bool {
        let status = self.error.status.filter(|_| self.leased.is_shared());
        status.is_some_and(|status| statuses.contains(&status))
    }
}

impl Outcome {
    /// What an attempt is called in the log.
    pub(super) fn of(result: &Result<Receipt, SendError>) -> Self {
        let failure = result.as_ref().err();
        failure.map_or(Self::Delivered, |error| names(error.outcome).0)
    }
}

/// The class of the failure, for filters.
fn code(error: &SendError) -> String {
    let named = error.code.clone();
    let status = error.status.map(|status| status.to_string());
    let other = || names(error.outcome).1.name().to_owned();
    named.or(status).unwrap_or_else(other)
}

fn names(outcome: AttemptOutcome) -> (Outcome, Code) {
    match outcome {
        AttemptOutcome::Retry { .. } => (Outcome::Retry, Code::NoAnswer),
        AttemptOutcome::Throttled { .. } => (Outcome::Retry, Code::Throttled),
        AttemptOutcome::Permanent { .. } => (Outcome::Permanent, Code::Refused),
        AttemptOutcome::Uncertain => (Outcome::Uncertain, Code::Uncertain),
    }
}

#[cfg(test)]
mod tests;
