//! Circuit breakers: pauses targets that fail repeatedly, and disables endpoints that no longer exist.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::finished::{Finished, clean};
use super::lease::channels;
use super::report::{DeliveryReport, Disabled};
use super::retry_policy::{FAILURES_MAX, Next, TargetSignal};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// For how long a circuit breaker stays open. Then it is half-open: a few messages are tried.
const OPEN_FOR: Duration = Duration::from_mins(1);
/// An endpoint that fails for as many days, on each of them, with nothing delivered in between, is disabled.
const FAILING_DAYS: i32 = 5;
/// The longest pause of a throttled target, unless it asks for more.
const MAX_THROTTLE: Duration = Duration::from_mins(5);

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
pub(super) async fn update_circuit_breakers(
    connection: &mut Transaction<'_>,
    recorded: &[&Finished],
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let targets = failures(recorded);
    if targets.is_empty() {
        return Ok(());
    }
    let mut disabled = update(connection, &targets).await?;
    disabled.extend(targets.iter().filter_map(|(target, failures)| {
        let reason = failures.gone?;
        Some(((*target).to_owned(), reason.to_owned()))
    }));
    if disabled.is_empty() {
        return Ok(());
    }
    disable(connection, disabled, report).await
}

/// By target, in one order for all workers, so that they don't wait for each other.
fn failures<'a>(recorded: &[&'a Finished]) -> BTreeMap<&'a str, Failures<'a>> {
    let mut targets: BTreeMap<&str, Failures<'_>> = BTreeMap::new();
    for one in recorded {
        let (leased, decision) = (&one.leased, &one.decision);
        if decision.signal == TargetSignal::None && decision.pause.is_none() {
            continue;
        }
        let target = targets.entry(&leased.target).or_default();
        match decision.signal {
            TargetSignal::None => {}
            TargetSignal::Throttled => target.is_throttled = true,
            TargetSignal::Failed | TargetSignal::Gone => {
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
    targets
}

/// Returns the targets that have failed for too long, with the reasons.
async fn update(
    connection: &mut Transaction<'_>,
    targets: &BTreeMap<&str, Failures<'_>>,
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let column = || targets.values();
    let names: Vec<String> = targets.keys().map(|&target| target.to_owned()).collect();
    let counts: Vec<_> = column()
        .map(|target| i32::try_from(target.of.len()).unwrap_or(i32::MAX))
        .collect();
    let throttled: Vec<_> = column().map(|target| target.is_throttled).collect();
    let reasons: Vec<_> = column().map(|target| clean(target.reason)).collect();
    let pauses: Vec<_> = column()
        .map(|target| target.pause.map(|pause| pause.as_secs_f64()))
        .collect();
    let rows = sqlx::query_file!(
        "src/delivery/circuit_breaker.sql",
        &names,
        &counts,
        &reasons as &[Option<String>],
        &pauses as &[Option<f64>],
        &throttled,
        FAILURES_MAX,
        OPEN_FOR.as_secs_f64(),
        FAILING_DAYS,
        MAX_THROTTLE.as_secs_f64(),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let failing = rows.into_iter().map(|row| (row.target, row.reason));
    Ok(failing.collect())
}

async fn disable(
    connection: &mut Transaction<'_>,
    disabled: BTreeMap<String, String>,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let (targets, reasons): (Vec<_>, Vec<_>) = disabled.into_iter().unzip();
    let rows = sqlx::query_file!("src/delivery/disable.sql", &targets, &reasons, &channels())
        .fetch_all(Unnamed(connection))
        .await?;
    for row in rows {
        let cancelled = row.cancelled.unsigned_abs();
        if let (Some(channel), Some(event_type)) = (row.channel, row.event_type) {
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
