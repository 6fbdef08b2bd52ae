//! Records results, and updates the circuit breakers of their targets.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::lease::Leased;
use super::report::{DeliveryReport, Disabled};
use super::retry_policy::{Decision, FAILURES_MAX, Next, TargetSignal};
use crate::db::{Transaction, Unnamed};

/// For how long a circuit breaker stays open. Then it is half-open: a few messages are tried.
const OPEN_FOR: Duration = Duration::from_mins(1);
/// An endpoint that fails for as many days, on each of them, with nothing delivered in between, is disabled.
const FAILING_DAYS: i32 = 5;
/// The longest pause of a throttled target, unless it asks for more.
const MAX_THROTTLE: Duration = Duration::from_mins(5);

/// A delivery with a result to be recorded.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) leased: Leased,
    pub(super) decision: Decision,
    /// `None`: none was made.
    pub(super) attempt: Option<Attempt>,
    /// Its e-mails that were no longer wanted, each with the reason.
    pub(super) left_out: Vec<(i64, &'static str)>,
    /// By this process's clock, slightly early.
    pub(super) lease_ends: Instant,
}

/// One attempt, for the log.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: &'static str,
    pub(super) duration: Duration,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<String>,
    pub(super) provider_id: Option<String>,
}

fn column<T>(finished: &[Finished], of: impl Fn(&Finished) -> T) -> Vec<T> {
    finished.iter().map(of).collect()
}

/// Records results under the tokens of their leases, and counts those that were recorded. E-mails can be
/// left to be settled one by one.
pub(super) async fn record(
    connection: &mut Transaction<'_>,
    finished: &[Finished],
    with_mails: bool,
) -> Result<DeliveryReport, sqlx::Error> {
    if finished.is_empty() {
        return Ok(DeliveryReport::default());
    }
    let attempt = |one: &Finished| {
        one.attempt
            .as_ref()
            .map(|attempt| attempt.outcome.to_owned())
    };
    let (left_out, why): (Vec<i64>, Vec<String>) = finished
        .iter()
        .flat_map(|one| &one.left_out)
        .map(|(id, reason)| (*id, (*reason).to_owned()))
        .unzip();
    let ours: Vec<i64> = sqlx::query_file_scalar!(
        "src/delivery/record.sql",
        &column(finished, |one| one.leased.id),
        &column(finished, |one| one.leased.token),
        &column(finished, |one| one.decision.next.status().to_owned()),
        &column(finished, |one| clean(one.decision.reason.as_deref())) as &[Option<String>],
        &column(finished, |one| clean(one.decision.code.as_deref())) as &[Option<String>],
        &column(finished, |one| clean(
            one.attempt
                .as_ref()
                .and_then(|attempt| attempt.provider_id.as_deref())
        )) as &[Option<String>],
        &column(finished, |one| match one.decision.next {
            Next::Retry { after, .. } => Some(after.as_secs_f64()),
            _ => None,
        }) as &[Option<f64>],
        &column(finished, attempt) as &[Option<String>],
        &column(finished, |one| one.attempt.as_ref().map(|attempt| {
            i32::try_from(attempt.duration.as_millis()).unwrap_or(i32::MAX)
        })) as &[Option<i32>],
        &column(finished, |one| one
            .attempt
            .as_ref()
            .and_then(|attempt| attempt.status)
            .map(i32::from)) as &[Option<i32>],
        &column(finished, |one| clean(
            one.attempt
                .as_ref()
                .and_then(|attempt| attempt.answer.as_deref())
        )) as &[Option<String>],
        &column(finished, |one| match one.decision.next {
            Next::Retry { is_charged, .. } => is_charged,
            _ => one.attempt.is_some(),
        }),
        &left_out,
        &why,
        with_mails,
    )
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let ours: HashSet<i64> = ours.into_iter().collect();
    let (recorded, lost): (Vec<_>, Vec<_>) = finished
        .iter()
        .partition(|one| ours.contains(&one.leased.id));
    let mut report = count(&recorded);
    report.lost_leases = lost.len() as u64;
    update_circuit_breakers(connection, &recorded, &mut report).await?;
    Ok(report)
}

/// Text as PostgreSQL takes it.
fn clean(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

fn count(recorded: &[&Finished]) -> DeliveryReport {
    let mut report = DeliveryReport::default();
    for one in recorded {
        let channel = one.leased.channel;
        report.count(channel, &one.leased.event_type, one.decision.next, 1);
        let duration = one.attempt.as_ref().map(|attempt| attempt.duration);
        let durations = &mut report.counts.durations;
        durations.extend(duration.map(|duration| (channel, duration.as_secs_f64())));
    }
    report
}

/// The failures of one target.
#[derive(Debug, Default)]
struct Failures<'a> {
    /// In a shared target, each recipient counts once.
    of: HashSet<(&'a str, i64)>,
    is_throttled: bool,
    reason: Option<&'a str>,
    pause: Option<Duration>,
    gone: Option<&'a str>,
}

/// Pauses targets that ask for it or fail repeatedly, and disables endpoints that no longer exist.
async fn update_circuit_breakers(
    connection: &mut Transaction<'_>,
    recorded: &[&Finished],
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    // Ordered, so that two workers don't wait for each other.
    let mut targets: BTreeMap<&str, Failures<'_>> = BTreeMap::new();
    for one in recorded {
        let decision = &one.decision;
        if decision.signal == TargetSignal::None && decision.pause.is_none() {
            continue;
        }
        let target = targets.entry(&one.leased.target).or_default();
        match decision.signal {
            TargetSignal::None => {}
            TargetSignal::Throttled => target.is_throttled = true,
            TargetSignal::Failed | TargetSignal::Gone => {
                let leased = &one.leased;
                let id = if leased.is_shared() { 0 } else { leased.id };
                target.of.insert((&leased.recipient, id));
            }
        }
        target.reason = decision.reason.as_deref().or(target.reason);
        target.pause = target.pause.max(decision.pause);
        if decision.signal == TargetSignal::Gone {
            target.gone = decision.reason.as_deref();
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = targets.keys().map(|&target| target.to_owned()).collect();
    let counts: Vec<i32> = targets
        .values()
        .map(|target| i32::try_from(target.of.len()).unwrap_or(i32::MAX))
        .collect();
    let throttled: Vec<bool> = targets.values().map(|target| target.is_throttled).collect();
    let reasons: Vec<Option<String>> = targets
        .values()
        .map(|target| clean(target.reason))
        .collect();
    let pauses: Vec<Option<f64>> = targets
        .values()
        .map(|target| target.pause.map(|pause| pause.as_secs_f64()))
        .collect();
    let failing = sqlx::query_file!(
        "src/delivery/circuit_breaker.sql",
        &names,
        &counts,
        &reasons as &[Option<String>],
        &pauses as &[Option<f64>],
        &throttled,
        FAILURES_MAX.cast_signed(),
        OPEN_FOR.as_secs_f64(),
        FAILING_DAYS,
        MAX_THROTTLE.as_secs_f64(),
    )
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let mut disabled: BTreeMap<String, String> = failing
        .into_iter()
        .map(|row| (row.target, row.reason))
        .collect();
    for (target, failures) in targets {
        if let Some(reason) = failures.gone {
            disabled.insert(target.to_owned(), reason.to_owned());
        }
    }
    if disabled.is_empty() {
        return Ok(());
    }
    let (targets, reasons): (Vec<String>, Vec<String>) = disabled.into_iter().unzip();
    let rows = sqlx::query_file!("src/delivery/disable.sql", &targets, &reasons)
        .fetch_all(Unnamed(connection))
        .await?;
    for row in rows {
        let cancelled = row.cancelled.unsigned_abs();
        if let (Some(channel), Some(event_type)) = (row.channel, row.event_type)
            && let Ok(channel) = channel.parse()
        {
            report.count(channel, &event_type, Next::Cancelled, cancelled);
        }
        match report.disabled.iter_mut().find(|one| one.name == row.name) {
            Some(disabled) => disabled.cancelled += cancelled,
            None => report.disabled.push(Disabled {
                name: row.name,
                reason: row.reason,
                cancelled,
            }),
        }
    }
    Ok(())
}
