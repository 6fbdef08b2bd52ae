use std::fmt::Write as _;

use super::*;
use proptest::prelude::*;

fn retry_policy() -> RetryPolicy {
    RetryPolicy {
        patient: Schedule::patient(),
        eager: Schedule::eager(),
        hold_uncertain: BTreeSet::from([Channel::Sms, Channel::Slack, Channel::Discord]),
    }
}

fn attempted(channel: Channel, attempts: u32) -> Attempted {
    Attempted {
        channel,
        attempts,
        tried_for: Duration::from_mins(1),
        is_shared: channel.is_shared(),
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

fn decided(channel: Channel, attempts: u32, result: &Result<Receipt, SendError>) -> String {
    let decision = decide(&retry_policy(), attempted(channel, attempts), result, 0.5);
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

#[test]
fn transient_failures_are_retried_until_the_schedule_ends() {
    let broken = failed(AttemptOutcome::Retry { after: None }, Some(503));
    insta::assert_snapshot!(decided(Channel::Email, 1, &broken), @"Retry { after: 300s, is_charged: true }, reason why, code 503, Failed");
    insta::assert_snapshot!(decided(Channel::Email, 5, &broken), @"Retry { after: 86400s, is_charged: true }, reason why, code 503, Failed");
    insta::assert_snapshot!(decided(Channel::Email, 6, &broken), @"Dead, reason failed after 6 attempts: why, code 503, Failed");
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &broken), @"Retry { after: 5s, is_charged: true }, reason why, code 503, Failed");
    // A full mailbox says nothing about the others.
    insta::assert_snapshot!(decided(Channel::Email, 1, &failed(AttemptOutcome::Retry { after: None }, Some(452))), @"Retry { after: 300s, is_charged: true }, reason why, code 452, None");
    insta::assert_snapshot!(decided(Channel::Slack, 1, &failed(AttemptOutcome::Retry { after: None }, None)), @"Retry { after: 5s, is_charged: true }, reason why, code no_answer, Failed");
}

#[test]
fn retry_after_is_a_floor_and_pauses_the_target() {
    let later = |seconds, status| {
        let after = Some(Duration::from_secs(seconds));
        let outcome = match status {
            429 => AttemptOutcome::Throttled { after },
            _ => AttemptOutcome::Retry { after },
        };
        failed(outcome, Some(status))
    };
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &later(60, 503)), @"Retry { after: 60s, is_charged: true }, reason why, code 503, pause 60s, Failed");
    insta::assert_snapshot!(decided(Channel::Email, 1, &later(60, 503)), @"Retry { after: 300s, is_charged: true }, reason why, code 503, pause 60s, Failed");
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &later(1_000_000, 503)), @"Retry { after: 86400s, is_charged: true }, reason why, code 503, pause 86400s, Failed");
    insta::assert_snapshot!(decided(Channel::Email, 6, &later(2, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 2s, Throttled");
    insta::assert_snapshot!(decided(Channel::Discord, 1, &later(0, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 1s, Throttled");
    insta::assert_snapshot!(decided(Channel::Discord, 1, &later(1_000_000, 429)), @"Retry { after: 0ns, is_charged: false }, reason why, code 429, pause 86400s, Throttled");
    let old = Attempted {
        tried_for: UNCHARGED_FOR,
        ..attempted(Channel::Email, 6)
    };
    let decision = decide(&retry_policy(), old, &later(2, 429), 0.5);
    assert_eq!(decision.next, Next::Dead);
}

#[test]
fn permanent_failures_are_not_retried() {
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &permanent(Cause::Message)), @"Dead, reason why, code 400, None");
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &permanent(Cause::Settings)), @"Dead, reason why, code 400, Failed");
    insta::assert_snapshot!(decided(Channel::Slack, 1, &permanent(Cause::Gone)), @"Dead, reason why, code 400, Gone");
    insta::assert_snapshot!(decided(Channel::Email, 1, &permanent(Cause::Recipient)), @"Dead, reason why, code 400, None");
    insta::assert_snapshot!(decided(Channel::Email, 1, &permanent(Cause::Message)), @"Dead, reason why, code 400, Failed");
    // After consecutive failures the account is the cause.
    let after_others = Attempted {
        failures: FAILURES_MAX,
        ..attempted(Channel::Email, 1)
    };
    let decision = decide(
        &retry_policy(),
        after_others,
        &permanent(Cause::Message),
        0.5,
    );
    assert!(matches!(decision.next, Next::Retry { .. }), "{decision:?}");
    insta::assert_snapshot!(decided(Channel::Email, 1, &permanent(Cause::Policy)), @"Retry { after: 300s, is_charged: true }, reason why, code 400, Failed");
    // A delivery is not lost over wrong credentials of ours.
    let unpaid = AttemptOutcome::Permanent {
        cause: Cause::Message,
    };
    insta::assert_snapshot!(decided(Channel::Sms, 1, &failed(unpaid, Some(402))), @"Retry { after: 300s, is_charged: true }, reason why, code 402, pause 300s, Failed");
    insta::assert_snapshot!(decided(Channel::Webhook, 1, &failed(unpaid, Some(402))), @"Dead, reason why, code 402, None");
    insta::assert_snapshot!(decided(Channel::Email, 1, &permanent(Cause::Settings)), @"Retry { after: 300s, is_charged: true }, reason why, code 400, pause 300s, Failed");
}

#[test]
fn uncertain_messages_are_resent_or_held() {
    let cut = failed(AttemptOutcome::Uncertain, None);
    insta::assert_snapshot!(decided(Channel::Email, 1, &cut), @"Retry { after: 300s, is_charged: true }, reason why, code uncertain, Failed");
    insta::assert_snapshot!(decided(Channel::Sms, 1, &cut), @"Uncertain, reason why, code uncertain, Failed");
}

proptest! {
    /// A delivery ends after as many attempts as its schedule has.
    #[test]
    fn every_delivery_ends(status in proptest::option::of(100_u16..600), after in proptest::option::of(0_u64..1_000_000), jitter in 0.0_f64..=1.0) {
        let error = failed(AttemptOutcome::Retry { after: after.map(Duration::from_secs) }, status);
        for channel in Channel::ALL {
            let last = retry_policy().schedule(channel).attempts();
            let it = Attempted { tried_for: UNCHARGED_FOR, ..attempted(channel, last) };
            prop_assert_eq!(decide(&retry_policy(), it, &error, jitter).next, Next::Dead);
            let it = attempted(channel, last - 1);
            let Next::Retry { after: delay, .. } = decide(&retry_policy(), it, &error, jitter).next else {
                return Err(TestCaseError::fail("no retry"));
            };
            prop_assert!(delay >= Duration::from_secs(after.unwrap_or(0)).min(LONGEST));
        }
    }
}
