//! Reclaims events of workers that died.

use super::FanOutSettings;
use super::write::Written;
use crate::db::{Transaction, Unnamed};
use crate::handlers::EventType;

/// Resets stuck claims, and wakes events whose type has found its handler.
pub(super) async fn rescue(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    written: &mut Written,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query_file!(
        "src/fan_out/rescue.sql",
        settings.stuck_after.as_secs_f64(),
        i32::try_from(settings.max_attempts).unwrap_or(i32::MAX),
        &[EventType::all_spellings(), settings.ignored_types.clone()].concat(),
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    if row.woken > 0 {
        tracing::info!(
            events = row.woken,
            "events of a type that has a handler now are pending again"
        );
    }
    written.report.rescued += row.rescued.unsigned_abs();
    written.report.failed += row.out_of_attempts.unsigned_abs();
    written.report.unhandled_types.extend(row.unhandled);
    written.xid = row.xid;
    Ok(())
}
