//! Enqueues events that no trigger did: rows applied by logical replication, inserted directly into
//! a partition, or written while the trigger was off.

use super::report::FanOutReport;
use crate::db::{Transaction, Unnamed};

const ENQUEUE: &str = concat!(include_str!("sweep.sql"), include_str!("sweep_enqueue.sql"));
const COUNT: &str = concat!(include_str!("sweep.sql"), include_str!("sweep_count.sql"));
/// Events looked at by one statement.
const PAGE: i64 = 20_000;
/// Events that are committed later than others with a higher identifier are found for so long.
const LATE_SECONDS: f64 = 600.0;

/// Looks at the events above the mark and enqueues those that lack a processing row. Returns whether
/// all of them were looked at.
pub(super) async fn sweep(
    transaction: &mut Transaction<'_>,
    report: &mut FanOutReport,
) -> Result<bool, sqlx::Error> {
    let (added, is_full): (i64, bool) = sqlx::query_as(ENQUEUE)
        .bind(PAGE)
        .bind(LATE_SECONDS)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.enqueued += added.unsigned_abs();
    Ok(!is_full)
}

/// How many events the next sweep would enqueue.
pub(super) async fn count(transaction: &mut Transaction<'_>) -> Result<u64, sqlx::Error> {
    let missing: i64 = sqlx::query_scalar(COUNT)
        .bind(PAGE)
        .fetch_one(Unnamed(transaction))
        .await?;
    Ok(missing.unsigned_abs())
}
