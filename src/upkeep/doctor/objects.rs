//! Whether what the statements name is there.

use sqlx::PgConnection;

use super::needs;
use super::{Check, Findings};
use crate::db::{Unnamed, migrate};

/// Relations, columns, functions and the sequence.
pub(super) async fn check(connection: &mut PgConnection) -> Findings {
    let (relations, _, columns) = needs::rights();
    let missing = sqlx::query_file_scalar!("src/upkeep/doctor/missing.sql", &relations, &columns)
        .fetch_all(Unnamed(connection))
        .await?;
    Ok(vec![if missing.is_empty() {
        Check::ok(
            "tables",
            "every table, column and function that is used is there",
        )
    } else {
        Check::problem(
            "tables",
            missing.join("; "),
            "if migrations are missing, run notify-fan-out migrate; else the application's tables \
             differ from what is read: a view of the name and columns expected, on the search path, will do",
        )
    }])
}

/// The indexes that make it fast, and those that slow it down.
pub(super) async fn indexes(connection: &mut PgConnection) -> Findings {
    let names: Vec<_> = migrate::index_names().map(str::to_owned).collect();
    let lacking = sqlx::query_file_scalar!("src/upkeep/doctor/indexes.sql", &names)
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    let mut checks = vec![if lacking.is_empty() {
        Check::ok("indexes", "all there and valid")
    } else {
        Check::problem(
            "indexes",
            lacking.join(", "),
            "build them, beside the running application: notify-fan-out migrate",
        )
    }];
    let idle = sqlx::query_file!("src/upkeep/doctor/idle_indexes.sql", &names)
        .fetch_all(Unnamed(connection))
        .await?;
    if !idle.is_empty() {
        let found: Vec<_> = idle
            .iter()
            .map(|index| format!("{} ({} scans)", index.name, index.scans))
            .collect();
        let drops: Vec<_> = idle
            .iter()
            .map(|index| format!("DROP INDEX CONCURRENTLY {};", index.name))
            .collect();
        checks.push(Check::warn(
            "other indexes",
            format!(
                "notification_processing has indexes that the job does not use: {}",
                found.join(", ")
            ),
            format!(
                "each costs every change of an event's status; if nothing else uses them: {}",
                drops.join(" ")
            ),
        ));
    }
    Ok(checks)
}
