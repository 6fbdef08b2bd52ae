use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use AttemptOutcome::{Permanent, Retry, Throttled, Uncertain};
use Channel::{Discord, Email, Slack, Sms, Webhook};

fn retry_policy() -> RetryPolicy {
    RetryPolicy {
        patient: Schedule::patient(),
        eager: Schedule::eager(),
        hold_uncertain: BTreeSet::from([Channel::Sms, Channel::Slack, Channel::Discord]),
    }
}

fn attempted(channel: Channel, attempts: u32, failures: i32, tried_for: Duration) -> Leased {
    let now = DateTime::UNIX_EPOCH;
    Leased {
        id: 1,
        key: Uuid::nil(),
        token: 1,
        channel,
        target: channel.name().to_owned(),
        recipient: String::new(),
        user_id: None,
        endpoint_id: None,
        event_type: String::new(),
        message: String::new(),
        occurred_at: now,
        attempts: attempts.cast_signed(),
        queued_at: now,
        tried_since: TimeDelta::from_std(tried_for).map(|time| now - time).ok(),
        failures,
        now,
        xid: 0,
    }
}

fn failed(outcome: AttemptOutcome, status: Option<u16>) -> Result<Receipt, SendError> {
    let mut error = SendError::new(outcome, "why");
    error.status = status;
    Err(error)
}

fn described(leased: &Leased, outcome: AttemptOutcome, status: Option<u16>) -> String {
    let decision = decide(&retry_policy(), leased, &failed(outcome, status), 0.5);
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
    format!("{line}, {:?}", decision.signal)
}

/// Each failure and the decision.
fn decided<const N: usize>(failures: [(Channel, u32, AttemptOutcome, Option<u16>); N]) -> String {
    let lines = failures.map(|(channel, attempts, outcome, status)| {
        let leased = attempted(channel, attempts, 0, Duration::from_mins(1));
        let name = channel.name();
        format!("{name} {attempts}: {}", described(&leased, outcome, status))
    });
    lines.join("\n")
}

#[test]
fn transient_failures_are_retried_until_the_schedule_ends() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let broken = Retry { after: None };
    let later = |after| Retry {
        after: seconds(after),
    };
    let throttled = |after| Throttled {
        after: seconds(after),
    };
    insta::assert_snapshot!(decided([
        (Email, 1, broken, Some(503)),
        (Email, 5, broken, Some(503)),
        (Email, 6, broken, Some(503)),
        (Webhook, 1, broken, Some(503)),
        // A full mailbox says nothing about the others.
        (Email, 1, broken, Some(452)),
        (Slack, 1, broken, None),
        // Retry-After is a floor and pauses the target.
        (Webhook, 1, later(60), Some(503)),
        (Email, 1, later(60), Some(503)),
        (Webhook, 1, later(1_000_000), Some(503)),
        (Email, 6, throttled(2), Some(429)),
        (Discord, 1, throttled(0), Some(429)),
        (Discord, 1, throttled(1_000_000), Some(429)),
    ]), @"
    email 1: Retry { after: 300s, is_charged: true }, reason why, code 503, Failed
    email 5: Retry { after: 86400s, is_charged: true }, reason why, code 503, Failed
    email 6: Dead, reason failed after 6 attempts: why, code 503, Failed
    webhook 1: Retry { after: 5s, is_charged: true }, reason why, code 503, Failed
    email 1: Retry { after: 300s, is_charged: true }, reason why, code 452, None
    slack 1: Retry { after: 5s, is_charged: true }, reason why, code no_answer, Failed
    webhook 1: Retry { after: 60s, is_charged: true }, reason why, code 503, pause 60s, Failed
    email 1: Retry { after: 300s, is_charged: true }, reason why, code 503, pause 60s, Failed
    webhook 1: Retry { after: 86400s, is_charged: true }, reason why, code 503, pause 86400s, Failed
    email 6: Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 2s, Throttled
    discord 1: Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 1s, Throttled
    discord 1: Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 86400s, Throttled
    ");
    // A message that was throttled for a day is charged its attempts.
    let old = attempted(Email, 6, 0, UNCHARGED_FOR);
    insta::assert_snapshot!(described(&old, Throttled { after: None }, Some(429)), @"Dead, reason failed after 6 attempts: why, code 429, pause 1s, Throttled");
}

#[test]
fn permanent_failures_are_not_retried_unless_the_account_is_the_cause() {
    let permanent = |cause| Permanent { cause };
    insta::assert_snapshot!(decided([
        (Webhook, 1, permanent(Cause::Message), Some(400)),
        (Webhook, 1, permanent(Cause::Settings), Some(400)),
        (Slack, 1, permanent(Cause::Gone), Some(400)),
        (Email, 1, permanent(Cause::Recipient), Some(400)),
        (Email, 1, permanent(Cause::Message), Some(400)),
        (Email, 1, permanent(Cause::Policy), Some(400)),
        // A delivery is not lost over wrong credentials of ours.
        (Sms, 1, permanent(Cause::Message), Some(402)),
        (Webhook, 1, permanent(Cause::Message), Some(402)),
        (Email, 1, permanent(Cause::Settings), Some(400)),
        // Messages that may have arrived are sent again or held.
        (Email, 1, Uncertain, None),
        (Sms, 1, Uncertain, None),
    ]), @"
    webhook 1: Dead, reason why, code 400, None
    webhook 1: Dead, reason why, code 400, Failed
    slack 1: Dead, reason why, code 400, Gone
    email 1: Dead, reason why, code 400, None
    email 1: Dead, reason why, code 400, Failed
    email 1: Retry { after: 300s, is_charged: true }, reason why, code 400, Failed
    sms 1: Retry { after: 300s, is_charged: true }, reason why, code 402, pause 300s, Failed
    webhook 1: Dead, reason why, code 402, None
    email 1: Retry { after: 300s, is_charged: true }, reason why, code 400, pause 300s, Failed
    email 1: Retry { after: 300s, is_charged: true }, reason why, code uncertain, Failed
    sms 1: Uncertain, reason why, code uncertain, Failed
    ");
    // After consecutive failures the account is the cause.
    let after_others = attempted(Email, 1, FAILURES_MAX, Duration::ZERO);
    insta::assert_snapshot!(described(&after_others, permanent(Cause::Message), Some(400)), @"Retry { after: 300s, is_charged: true }, reason why, code 400, Failed");
}

proptest! {
    /// A delivery ends after as many attempts as its schedule has.
    #[test]
    fn every_delivery_ends(status in proptest::option::of(100_u16..600), after in proptest::option::of(0_u64..1_000_000), jitter in 0.0_f64..=1.0) {
        let error = failed(AttemptOutcome::Retry { after: after.map(Duration::from_secs) }, status);
        let next = |channel, attempts| {
            let leased = attempted(channel, attempts, 0, UNCHARGED_FOR);
            decide(&retry_policy(), &leased, &error, jitter).next
        };
        for channel in Channel::ALL {
            let last = retry_policy().schedule(channel).attempts();
            prop_assert_eq!(next(channel, last), Next::Dead);
            let Next::Retry { after: delay, .. } = next(channel, last - 1) else {
                return Err(TestCaseError::fail("no retry"));
            };
            prop_assert!(delay >= Duration::from_secs(after.unwrap_or(0)).min(LONGEST));
        }
    }
}
