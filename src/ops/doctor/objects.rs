//! Checks tables, columns, functions, triggers and indexes.

use super::required_privileges::each;
use super::{Finding, Findings};
use crate::db::migrate::Due;
use crate::db::{Transaction, Unnamed, migrate};

/// The indexes of deliveries, which their migration makes with the tables.
const OF_DELIVERIES: [&str; 8] = [
    "notification_deliveries_due_idx",
    "notification_deliveries_leased_idx",
    "notification_deliveries_dead_idx",
    "notification_deliveries_finished_idx",
    "notification_deliveries_event_recipient_key",
    "notification_deliveries_digest_key",
    "notification_delivery_attempts_delivery_idx",
    "notification_delivery_guards_until_idx",
];

/// Relations, columns, functions and the sequences.
pub(super) async fn tables(connection: &mut Transaction<'_>) -> Findings {
    let missing = sqlx::query_file_scalar!(
        "src/ops/doctor/missing.sql",
        &each(|required| required.relation),
        &each(|required| required.column)
    )
    .fetch_all(Unnamed(connection))
    .await?;
    Ok(vec![if missing.is_empty() {
        Finding::ok("every table, column and function that is used exists")
    } else {
        Finding::problem(
            missing.join("; "),
            "if migrations are missing, run notify-fan-out migrate; else the application's tables \
             differ from what is read: create a view of the name and columns expected, on the search path",
        )
    }])
}

/// Functions and triggers that are not as this version makes them.
pub(super) fn definitions(due: &[Due]) -> Vec<Finding> {
    if due.is_empty() {
        return Vec::new();
    }
    let found = due.iter().map(|object| {
        let is = if object.is_outdated {
            "differs from what this version makes"
        } else {
            "is missing"
        };
        format!("{} {is}", object.label)
    });
    let found = found.collect::<Vec<_>>().join("; ");
    vec![Finding::warn(
        found,
        "notify-fan-out migrate recreates them",
    )]
}

/// The indexes that the statements depend on.
pub(super) async fn indexes(connection: &mut Transaction<'_>) -> Findings {
    let names = migrate::index_names().chain(OF_DELIVERIES);
    let names: Vec<_> = names.map(str::to_owned).collect();
    let lacking = sqlx::query_file_scalar!("src/ops/doctor/indexes.sql", &names)
        .fetch_all(Unnamed(connection))
        .await?;
    let is_ours = |lacking: &String| OF_DELIVERIES.iter().any(|name| lacking.starts_with(name));
    Ok(vec![if lacking.is_empty() {
        Finding::ok("all exist and are valid")
    } else if lacking.iter().all(is_ours) {
        Finding::problem(
            lacking.join(", "),
            "if migrations are missing: notify-fan-out migrate; else recreate them as in \
             migrations/0010_delivery.sql, with CREATE INDEX CONCURRENTLY",
        )
    } else {
        Finding::problem(
            lacking.join(", "),
            "build them while the application runs: notify-fan-out migrate",
        )
    }])
}
