//! What is done about an attempt, by what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::channels::{AttemptOutcome, Cause, Channel, Receipt, Retry, SendError};
use crate::domain::schedule::{LONGEST, Schedule};

/// For so long after its first attempt, being told to come later costs a message no attempt: it was never
/// processed.
const PATIENCE: Duration = Duration::from_hours(24);
/// A target that is throttled is left alone for so long at least.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// After so many consecutive failures the circuit breaker of a target opens.
pub(super) const FAILURES_MAX: u32 = 5;
/// What a mail server says of one mailbox or one mail: busy, greylisted, full (RFC 5321, 4.2.3).
const OF_ONE_MAIL: [u16; 4] = [450, 451, 452, 455];
/// What an API says where address or account are wrong: not paid for, not found, not that way.
const OF_THE_ACCOUNT: [u16; 3] = [402, 404, 405];

/// The operator's choices.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When mails and text messages are tried again.
    pub patient: Schedule,
    /// When chats and webhooks are.
    pub eager: Schedule,
    /// Channels whose messages wait for a person where it is uncertain whether they arrived. Those of
    /// the others are sent again.
    pub held: BTreeSet<Channel>,
}

impl Rules {
    /// The schedule of a channel.
    #[must_use]
    pub fn schedule(&self, channel: Channel) -> &Schedule {
        match channel.spec().retry {
            Retry::Patient => &self.patient,
            Retry::Eager => &self.eager,
        }
    }
}

/// Where a delivery stands after it was looked at.
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
    /// As `notification_deliveries.status` has it.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "pending",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Uncertain => "uncertain",
        }
    }
}

/// What an attempt says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lesson {
    Nothing,
    /// It takes only so many at a time.
    Throttled,
    /// It could not be reached, or would take nothing.
    Failed,
    /// It is no more.
    Gone,
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) next: Next,
    pub(super) reason: Option<String>,
    pub(super) code: Option<String>,
    pub(super) lesson: Lesson,
    /// How long the target is to be left alone.
    pub(super) pause: Option<Duration>,
}

impl Decision {
    /// About one that was not attempted.
    pub(super) fn without_attempt(next: Next, code: &str, reason: impl Into<String>) -> Self {
        Self {
            next,
            reason: Some(reason.into()),
            code: Some(code.to_owned()),
            lesson: Lesson::Nothing,
            pause: None,
        }
    }
}

/// What has to be known of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempted {
    pub(super) kind: Channel,
    /// This one included.
    pub(super) attempts: u32,
    /// Since the first attempt.
    pub(super) tried_for: Duration,
    /// Whether its target is this installation's own way to all recipients, and not one receiver.
    pub(super) is_shared: bool,
    /// Consecutive failures of its target when it was leased.
    pub(super) failures: u32,
}

/// Decides. `jitter` is drawn from 0.0 ..= 1.0.
pub(super) fn decide(
    rules: &Rules,
    it: Attempted,
    result: &Result<Receipt, SendError>,
    jitter: f64,
) -> Decision {
    let Err(error) = result else {
        return Decision {
            next: Next::Delivered,
            reason: None,
            code: None,
            lesson: Lesson::Nothing,
            pause: None,
        };
    };
    let scheduled = rules.schedule(it.kind).delay(it.attempts, jitter);
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
    let (next, lesson, pause) = match error.outcome {
        AttemptOutcome::Throttled { after } => {
            let after = after.unwrap_or_default().clamp(SHORTEST_WAIT, LONGEST);
            let next = if it.tried_for < PATIENCE {
                // Its target is paused; it is due as soon as that opens again.
                Next::Retry {
                    after: Duration::ZERO,
                    is_charged: false,
                }
            } else {
                retry_or_die(after)
            };
            (next, Lesson::Throttled, Some(after))
        }
        AttemptOutcome::Retry { after: Some(after) } => {
            let after = after.min(LONGEST);
            (retry_or_die(after), Lesson::Failed, Some(after))
        }
        // The credentials or the sender are wrong: that is no fault of the messages, which would all
        // come to the same.
        AttemptOutcome::Permanent { cause }
            if it.is_shared && matches!(cause, Cause::Settings | Cause::Gone)
                || is_among(&OF_THE_ACCOUNT) =>
        {
            let pause = rules.schedule(it.kind).delay(1, jitter);
            (retry_or_die(Duration::ZERO), Lesson::Failed, pause)
        }
        // Perhaps the account's fault, for certain where nothing else comes of any message. The
        // circuit breaker tells.
        AttemptOutcome::Permanent { cause }
            if it.is_shared
                && (cause == Cause::Policy
                    || cause == Cause::Message && it.failures >= FAILURES_MAX) =>
        {
            (retry_or_die(Duration::ZERO), Lesson::Failed, None)
        }
        AttemptOutcome::Permanent { cause } => {
            let lesson = match cause {
                Cause::Message if it.is_shared => Lesson::Failed,
                Cause::Recipient | Cause::Message | Cause::Policy => Lesson::Nothing,
                Cause::Settings => Lesson::Failed,
                Cause::Gone => Lesson::Gone,
            };
            (Next::Dead, lesson, None)
        }
        AttemptOutcome::Uncertain if rules.held.contains(&it.kind) => {
            (Next::Uncertain, Lesson::Failed, None)
        }
        // The next mail may well be taken.
        AttemptOutcome::Retry { after: None } if is_among(&OF_ONE_MAIL) => {
            (retry_or_die(Duration::ZERO), Lesson::Nothing, None)
        }
        AttemptOutcome::Retry { after: None } | AttemptOutcome::Uncertain => {
            (retry_or_die(Duration::ZERO), Lesson::Failed, None)
        }
    };
    let reason = match (next, error.outcome) {
        (
            Next::Dead,
            AttemptOutcome::Retry { .. }
            | AttemptOutcome::Throttled { .. }
            | AttemptOutcome::Uncertain,
        ) => {
            format!("given up after {} attempts: {}", it.attempts, error.reason)
        }
        _ => error.reason.clone(),
    };
    Decision {
        next,
        reason: Some(reason),
        code: Some(code(error)),
        lesson,
        pause,
    }
}

/// The kind of failure, for filters.
fn code(error: &SendError) -> String {
    let named = error.code.clone();
    let status = error.status.map(|status| status.to_string());
    named.or(status).unwrap_or_else(|| {
        match error.outcome {
            AttemptOutcome::Retry { .. } => "no_answer",
            AttemptOutcome::Throttled { .. } => "throttled",
            AttemptOutcome::Permanent { .. } => "refused",
            AttemptOutcome::Uncertain => "uncertain",
        }
        .to_owned()
    })
}

/// What an attempt is called in the log.
pub(super) fn outcome(result: &Result<Receipt, SendError>) -> &'static str {
    match result {
        Ok(_) => "delivered",
        Err(error) => match error.outcome {
            AttemptOutcome::Retry { .. } | AttemptOutcome::Throttled { .. } => "retry",
            AttemptOutcome::Permanent { .. } => "permanent",
            AttemptOutcome::Uncertain => "uncertain",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        Rules {
            patient: Schedule::patient(),
            eager: Schedule::eager(),
            held: BTreeSet::from([Channel::Sms, Channel::Slack, Channel::Discord]),
        }
    }

    fn attempted(kind: Channel, attempts: u32) -> Attempted {
        Attempted {
            kind,
            attempts,
            tried_for: Duration::from_mins(1),
            is_shared: kind.is_shared(),
            failures: 0,
        }
    }

    fn failed(outcome: AttemptOutcome, status: Option<u16>) -> Result<Receipt, SendError> {
        let mut error = SendError::new(outcome, "why");
        error.status = status;
        Err(error)
    }

    fn permanent(cause: Cause) -> Result<Receipt, SendError> {
        failed(AttemptOutcome::Permanent { cause }, Some(400))
    }

    fn told(kind: Channel, attempts: u32, result: &Result<Receipt, SendError>) -> String {
        let decision = decide(&rules(), attempted(kind, attempts), result, 0.5);
        let mut line = format!("{:?}", decision.next);
        for (name, value) in [
            ("reason", decision.reason),
            ("code", decision.code),
            ("pause", decision.pause.map(|pause| format!("{pause:?}"))),
        ] {
            if let Some(value) = value {
                let _ = write!(line, ", {name} {value}");
            }
        }
        format!("{line}, {:?}", decision.lesson)
    }

    #[test]
    fn what_passes_is_tried_again_until_it_is_given_up() {
        let broken = failed(AttemptOutcome::Retry { after: None }, Some(503));
        insta::assert_snapshot!(told(Channel::Email, 1, &broken), @"Retry { after: 300s, is_charged: true }, reason why, code 503, Failed");
        insta::assert_snapshot!(told(Channel::Email, 5, &broken), @"Retry { after: 86400s, is_charged: true }, reason why, code 503, Failed");
        insta::assert_snapshot!(told(Channel::Email, 6, &broken), @"Dead, reason given up after 6 attempts: why, code 503, Failed");
        insta::assert_snapshot!(told(Channel::Webhook, 1, &broken), @"Retry { after: 5s, is_charged: true }, reason why, code 503, Failed");
        // A mailbox that is full says nothing of the others.
        insta::assert_snapshot!(told(Channel::Email, 1, &failed(AttemptOutcome::Retry { after: None }, Some(452))), @"Retry { after: 300s, is_charged: true }, reason why, code 452, Nothing");
        insta::assert_snapshot!(told(Channel::Slack, 1, &failed(AttemptOutcome::Retry { after: None }, None)), @"Retry { after: 5s, is_charged: true }, reason why, code no_answer, Failed");
    }

    #[test]
    fn what_a_target_asks_for_is_a_floor_and_pauses_it() {
        let later = |seconds, status| {
            let after = Some(Duration::from_secs(seconds));
            let outcome = match status {
                429 => AttemptOutcome::Throttled { after },
                _ => AttemptOutcome::Retry { after },
            };
            failed(outcome, Some(status))
        };
        insta::assert_snapshot!(told(Channel::Webhook, 1, &later(60, 503)), @"Retry { after: 60s, is_charged: true }, reason why, code 503, pause 60s, Failed");
        insta::assert_snapshot!(told(Channel::Email, 1, &later(60, 503)), @"Retry { after: 300s, is_charged: true }, reason why, code 503, pause 60s, Failed");
        insta::assert_snapshot!(told(Channel::Webhook, 1, &later(1_000_000, 503)), @"Retry { after: 86400s, is_charged: true }, reason why, code 503, pause 86400s, Failed");
        insta::assert_snapshot!(told(Channel::Email, 6, &later(2, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 2s, Throttled");
        insta::assert_snapshot!(told(Channel::Discord, 1, &later(0, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 1s, Throttled");
        insta::assert_snapshot!(told(Channel::Discord, 1, &later(1_000_000, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 86400s, Throttled");
        let old = Attempted {
            tried_for: PATIENCE,
            ..attempted(Channel::Email, 6)
        };
        let decision = decide(&rules(), old, &later(2, 429), 0.5);
        assert_eq!(decision.next, Next::Dead);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        insta::assert_snapshot!(told(Channel::Webhook, 1, &permanent(Cause::Message)), @"Dead, reason why, code 400, Nothing");
        insta::assert_snapshot!(told(Channel::Webhook, 1, &permanent(Cause::Settings)), @"Dead, reason why, code 400, Failed");
        insta::assert_snapshot!(told(Channel::Slack, 1, &permanent(Cause::Gone)), @"Dead, reason why, code 400, Gone");
        insta::assert_snapshot!(told(Channel::Email, 1, &permanent(Cause::Recipient)), @"Dead, reason why, code 400, Nothing");
        insta::assert_snapshot!(told(Channel::Email, 1, &permanent(Cause::Message)), @"Dead, reason why, code 400, Failed");
        // Where nothing else came of several, it is not the message.
        let after_others = Attempted {
            failures: FAILURES_MAX,
            ..attempted(Channel::Email, 1)
        };
        let decision = decide(&rules(), after_others, &permanent(Cause::Message), 0.5);
        assert!(matches!(decision.next, Next::Retry { .. }), "{decision:?}");
        insta::assert_snapshot!(told(Channel::Email, 1, &permanent(Cause::Policy)), @"Retry { after: 300s, is_charged: true }, reason why, code 400, Failed");
        // Wrong credentials of our own are not the messages' fault.
        let unpaid = AttemptOutcome::Permanent {
            cause: Cause::Message,
        };
        insta::assert_snapshot!(told(Channel::Sms, 1, &failed(unpaid, Some(402))), @"Retry { after: 300s, is_charged: true }, reason why, code 402, pause 300s, Failed");
        insta::assert_snapshot!(told(Channel::Webhook, 1, &failed(unpaid, Some(402))), @"Dead, reason why, code 402, Nothing");
        insta::assert_snapshot!(told(Channel::Email, 1, &permanent(Cause::Settings)), @"Retry { after: 300s, is_charged: true }, reason why, code 400, pause 300s, Failed");
    }

    #[test]
    fn what_may_have_arrived() {
        let cut = failed(AttemptOutcome::Uncertain, None);
        insta::assert_snapshot!(told(Channel::Email, 1, &cut), @"Retry { after: 300s, is_charged: true }, reason why, code uncertain, Failed");
        insta::assert_snapshot!(told(Channel::Sms, 1, &cut), @"Uncertain, reason why, code uncertain, Failed");
    }

    proptest! {
        /// Whatever happens, a message comes to an end after as many attempts as its schedule has.
        #[test]
        fn an_end_is_reached(status in proptest::option::of(100_u16..600), after in proptest::option::of(0_u64..1_000_000), jitter in 0.0_f64..=1.0) {
            let error = failed(AttemptOutcome::Retry { after: after.map(Duration::from_secs) }, status);
            for kind in Channel::ALL {
                let last = rules().schedule(kind).attempts();
                let it = Attempted { tried_for: PATIENCE, ..attempted(kind, last) };
                prop_assert_eq!(decide(&rules(), it, &error, jitter).next, Next::Dead);
                let it = attempted(kind, last - 1);
                let Next::Retry { after: delay, .. } = decide(&rules(), it, &error, jitter).next else {
                    return Err(TestCaseError::fail("no retry"));
                };
                prop_assert!(delay >= Duration::from_secs(after.unwrap_or(0)).min(LONGEST));
            }
        }
    }
}
