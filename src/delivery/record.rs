//! Records results of deliveries.

use std::collections::HashMap;

use super::circuit_breaker::update_circuit_breakers;
use super::finished::{Attempt, Finished, clean};
use super::report::DeliveryReport;
use super::retry_policy::Next;
use crate::db::{Transaction, Unnamed};

/// Records results under the tokens of their leases, and counts those that were recorded. E-mails can be
/// left to be settled one by one. Also returns the transaction, if it recorded something.
pub(super) async fn record(
    connection: &mut Transaction<'_>,
    finished: &[Finished],
    with_mails: bool,
) -> Result<(DeliveryReport, Option<i64>), sqlx::Error> {
    if finished.is_empty() {
        return Ok((DeliveryReport::default(), None));
    }
    let ours = write(connection, finished, with_mails).await?;
    let (recorded, lost): (Vec<_>, Vec<_>) = finished
        .iter()
        .partition(|one| ours.contains_key(&one.leased.id));
    let mut report = DeliveryReport {
        lost_leases: lost.len() as u64,
        ..DeliveryReport::default()
    };
    for one in &recorded {
        let channel = one.leased.channel;
        report.count(channel, &one.leased.event_type, one.decision.next, 1);
        let duration = one.attempt.as_ref().map(|attempt| attempt.duration);
        let durations = &mut report.counts.durations;
        durations.extend(duration.map(|duration| (channel, duration.as_secs_f64())));
    }
    update_circuit_breakers(connection, &recorded, &mut report).await?;
    Ok((report, ours.into_values().next()))
}

/// Returns the deliveries whose leases were still ours, each with the transaction.
async fn write(
    connection: &mut Transaction<'_>,
    finished: &[Finished],
    with_mails: bool,
) -> Result<HashMap<i64, i64>, sqlx::Error> {
    let left_out = finished.iter().flat_map(|one| &one.left_out);
    let (left_out, why): (Vec<i64>, Vec<String>) = left_out
        .map(|(id, reason)| (*id, (*reason).to_owned()))
        .unzip();
    let ours = sqlx::query_file!(
        "src/delivery/record.sql",
        &column(finished, |one| one.leased.id),
        &column(finished, |one| one.leased.token),
        &column(finished, |one| one.decision.next.status().name().to_owned()),
        &column(finished, |one| clean(one.decision.reason.as_deref())) as &[Option<String>],
        &column(finished, |one| clean(one.decision.code.as_deref())) as &[Option<String>],
        &attempts(finished, |it| clean(it.provider_id.as_deref())) as &[Option<String>],
        &column(finished, |one| match one.decision.next {
            Next::Retry { after, .. } => Some(after.as_secs_f64()),
            _ => None,
        }) as &[Option<f64>],
        &attempts(finished, |it| Some(it.outcome.name().to_owned())) as &[Option<String>],
        &attempts(finished, |it| Some(
            i32::try_from(it.duration.as_millis()).unwrap_or(i32::MAX)
        )) as &[Option<i32>],
        &attempts(finished, |it| it.status.map(i32::from)) as &[Option<i32>],
        &attempts(finished, |it| clean(it.answer.as_deref())) as &[Option<String>],
        &column(finished, |one| match one.decision.next {
            Next::Retry { is_charged, .. } => is_charged,
            _ => one.attempt.is_some(),
        }),
        &left_out,
        &why,
        with_mails,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    Ok(ours.into_iter().map(|row| (row.id, row.xid)).collect())
}

fn column<T>(finished: &[Finished], of: impl Fn(&Finished) -> T) -> Vec<T> {
    finished.iter().map(of).collect()
}

fn attempts<T>(finished: &[Finished], of: impl Fn(&Attempt) -> Option<T>) -> Vec<Option<T>> {
    column(finished, |one| one.attempt.as_ref().and_then(&of))
}
