//! Records results of deliveries.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::circuit_breaker::update_circuit_breakers;
use super::lease::Leased;
use super::report::DeliveryReport;
use super::retry_policy::{Decision, Next, outcome};
use super::states::Outcome;
use crate::channels::{Receipt, SendError};
use crate::db::{Transaction, Unnamed};

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
    /// The report of a try to record it whose COMMIT was not answered.
    pub(super) in_doubt: Option<DeliveryReport>,
}

/// One attempt, for the log.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) duration: Duration,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<String>,
    pub(super) provider_id: Option<String>,
}

impl Attempt {
    pub(super) fn new(duration: Duration, result: &Result<Receipt, SendError>) -> Self {
        let (status, answer, provider_id) = match result {
            Ok(receipt) => (
                Some(receipt.status),
                Some(&receipt.answer),
                receipt.provider_id.clone(),
            ),
            Err(error) => (error.status, error.answer.as_ref(), None),
        };
        Self {
            outcome: outcome(result),
            duration,
            status,
            answer: answer.filter(|answer| !answer.is_empty()).cloned(),
            provider_id,
        }
    }
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
    let (left_out, why): (Vec<i64>, Vec<String>) = finished
        .iter()
        .flat_map(|one| &one.left_out)
        .map(|(id, reason)| (*id, (*reason).to_owned()))
        .unzip();
    let attempts = || finished.iter().map(|one| one.attempt.as_ref());
    let outcomes: Vec<_> = attempts()
        .map(|it| Some(it?.outcome.name().to_owned()))
        .collect();
    let durations: Vec<_> = attempts()
        .map(|it| Some(i32::try_from(it?.duration.as_millis()).unwrap_or(i32::MAX)))
        .collect();
    let statuses: Vec<_> = attempts().map(|it| it?.status.map(i32::from)).collect();
    let answers: Vec<_> = attempts().map(|it| clean(it?.answer.as_deref())).collect();
    let provider_ids: Vec<_> = attempts()
        .map(|it| clean(it?.provider_id.as_deref()))
        .collect();
    let ours: Vec<i64> = sqlx::query_file_scalar!(
        "src/delivery/record.sql",
        &column(finished, |one| one.leased.id),
        &column(finished, |one| one.leased.token),
        &column(finished, |one| one.decision.next.status().name().to_owned()),
        &column(finished, |one| clean(one.decision.reason.as_deref())) as &[Option<String>],
        &column(finished, |one| clean(one.decision.code.as_deref())) as &[Option<String>],
        &provider_ids as &[Option<String>],
        &column(finished, |one| match one.decision.next {
            Next::Retry { after, .. } => Some(after.as_secs_f64()),
            _ => None,
        }) as &[Option<f64>],
        &outcomes as &[Option<String>],
        &durations as &[Option<i32>],
        &statuses as &[Option<i32>],
        &answers as &[Option<String>],
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
pub(super) fn clean(text: Option<&str>) -> Option<String> {
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
