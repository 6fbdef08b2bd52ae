//! Enqueues events that no trigger did: rows applied by logical replication, inserted directly into
//! a partition, or written while the trigger was off.

use crate::db::{Transaction, Unnamed};

const ENQUEUE: &str = concat!(include_str!("sweep.sql"), include_str!("sweep_enqueue.sql"));
const COUNT: &str = concat!(include_str!("sweep.sql"), include_str!("sweep_count.sql"));
/// Events looked at by one statement.
const PAGE: i64 = 20_000;
/// Events that are committed later than others with a higher identifier are found for so long.
const LATE_SECONDS: f64 = 600.0;

/// What one statement enqueued.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Swept {
    pub(super) added: i64,
    /// Whether there are more events to look at.
    pub(super) is_full: bool,
}

/// Looks at the events above the mark and enqueues those that lack a processing row.
pub(super) async fn sweep(transaction: &mut Transaction<'_>) -> Result<Swept, sqlx::Error> {
    sqlx::query_as(ENQUEUE)
        .bind(PAGE)
        .bind(LATE_SECONDS)
        .fetch_one(Unnamed(transaction))
        .await
}

/// How many events the next sweep would enqueue.
pub(super) async fn count(transaction: &mut Transaction<'_>) -> Result<u64, sqlx::Error> {
    let missing: i64 = sqlx::query_scalar(COUNT)
        .bind(PAGE)
        .fetch_one(Unnamed(transaction))
        .await?;
    Ok(missing.unsigned_abs())
}
