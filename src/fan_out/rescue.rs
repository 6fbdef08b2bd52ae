//! Reclaims events of workers that died.

use super::Settings;
use crate::db::{Transaction, Unnamed};

/// What was found before the first claim.
#[derive(Debug)]
pub(super) struct Rescued {
    /// Stuck claims that are pending again.
    pub(super) requeued: u64,
    /// Stuck claims that had spent their last attempt, and failed.
    pub(super) out_of_attempts: u64,
    /// Event types that wait for a handler.
    pub(super) unhandled: Vec<String>,
    /// The transaction, where anything was changed.
    pub(super) xid: Option<i64>,
}

/// Resets stuck claims, and wakes events whose type has found its handler.
pub(super) async fn rescue(
    connection: &mut Transaction<'_>,
    settings: &Settings,
) -> Result<Rescued, sqlx::Error> {
    let row = sqlx::query_file!(
        "src/fan_out/rescue.sql",
        settings.stuck_after.as_secs_f64(),
        i32::try_from(settings.max_attempts).unwrap_or(i32::MAX),
        &settings.known_types(),
    )
    .fetch_one(Unnamed(connection))
    .await?;
    if row.woken > 0 {
        tracing::info!(
            events = row.woken,
            "events of a type that has a handler now are pending again"
        );
    }
    Ok(Rescued {
        requeued: row.rescued.unsigned_abs(),
        out_of_attempts: row.out_of_attempts.unsigned_abs(),
        unhandled: row.unhandled,
        xid: row.xid,
    })
}
