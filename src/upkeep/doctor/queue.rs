//! Whether events get into the queue.

use super::{Check, Findings};
use crate::db::{Transaction, Unnamed};

/// The trigger that enqueues them.
pub(super) async fn trigger(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "trigger";
    let found = sqlx::query_file!("src/upkeep/doctor/trigger.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(vec![match found {
        None => Check::problem(
            NAME,
            "domain_events has no trigger notify_fan_out_enqueue: new events are not seen",
            "notify-fan-out migrate makes it, and enqueues the events in between",
        ),
        Some(row) if !row.fires => Check::problem(
            NAME,
            "notify_fan_out_enqueue is disabled: new events are not seen",
            "ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue; then notify-fan-out \
             migrate, for the events in between",
        ),
        Some(row) if !row.may_insert => Check::problem(
            NAME,
            "the owner of its function may not insert into notification_processing: the application's inserts fail",
            "GRANT INSERT ON notification_processing to the owner of notify_fan_out_enqueue()",
        ),
        Some(_) => Check::ok(NAME, "there and enabled"),
    }])
}

/// Events that it did not catch.
pub(super) async fn unqueued(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "queue";
    let row = sqlx::query_file!("src/upkeep/doctor/unqueued.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let Some(first) = row.first else {
        return Ok(vec![Check::ok(
            NAME,
            "each event of the last day is in it, or was",
        )]);
    };
    Ok(vec![Check::problem(
        NAME,
        format!(
            "{} events of the last day have no processing row, the first is {first}",
            row.events
        ),
        "each run enqueues the newest, notify-fan-out migrate all of them. They came by logical replication, \
         directly into a partition, with session_replication_role 'replica', or while the trigger was off",
    )])
}

/// Whether identifiers began anew.
pub(super) async fn identifiers(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "identifiers";
    let newest = sqlx::query_file_scalar!("src/upkeep/doctor/identifiers.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(newest
        .map(|id| {
            Check::warn(
                NAME,
                format!("earlier events had the identifiers of today's events, up to {id} and higher"),
                "nothing is lost: what was queued or pruned before an event occurred is not its own; \
                 but TRUNCATE domain_events without RESTART IDENTITY",
            )
        })
        .into_iter()
        .collect())
}
