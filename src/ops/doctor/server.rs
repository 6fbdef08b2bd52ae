//! The server: its version, its clock, and how it cleans up.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Finding, Findings, failed};
use crate::db::{Access, Session, Transaction, Unnamed};

/// The oldest major version whose SQL is enough.
const OLDEST: i32 = 13;
/// The one the tests run on.
const TESTED: i32 = 15;
/// Clocks further apart than this, in seconds, make logs hard to compare.
const CLOCK_SKEW: f64 = 2.0;
/// A transaction older than this, in seconds, keeps more dead rows than a queue should carry.
const LONG: f64 = 900.0;
/// A slot or prepared transaction that holds back more transactions than this does so as well.
const MANY: i32 = 1_000_000;

/// Its version, and whether it takes writes.
pub(super) async fn check(connection: &mut Transaction<'_>) -> Findings {
    let row = sqlx::query_file!("src/ops/doctor/server.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let mut checks = vec![version(row.version_number / 10_000, &row.version)];
    if row.is_standby {
        checks.push(Finding::problem(
            "writes",
            "this server is a standby and takes none",
            "dry runs, explain and status work here; for run, let DATABASE_URL lead to the primary",
        ));
    }
    Ok(checks)
}

fn version(major: i32, version: &str) -> Finding {
    if major < OLDEST {
        return Finding::problem(
            "server",
            format!("PostgreSQL {version}"),
            format!("PostgreSQL {OLDEST} or newer is needed"),
        );
    }
    Finding::ok(
        "server",
        format!("PostgreSQL {version} (needed: {OLDEST} or newer; tested: {TESTED})"),
    )
}

/// How far this machine's clock is from the server's, which alone decides.
pub(super) async fn clock(session: &mut Session) -> Result<Finding, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut best: Option<(f64, f64)> = None;
    // Of several, the one that was answered fastest is the most exact.
    for _ in 0..3 {
        let before = unix_now();
        let answer = sqlx::query_scalar!(
            r#"SELECT extract(epoch FROM clock_timestamp())::float8 AS "now!""#
        )
        .fetch_one(Unnamed(&mut transaction))
        .await;
        let server = match answer {
            Ok(server) => server,
            Err(error) => return failed("clock", error),
        };
        let after = unix_now();
        let took = after - before;
        if best.is_none_or(|(_, fastest)| took < fastest) {
            best = Some((f64::midpoint(before, after) - server, took));
        }
    }
    transaction.rollback().await?;
    Ok(skew(best.map_or(0.0, |(ahead, _)| ahead)))
}

fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn skew(ahead: f64) -> Finding {
    let direction = if ahead < 0.0 { "behind" } else { "ahead of" };
    let found = format!(
        "this machine is {:.1} s {direction} the server",
        ahead.abs()
    );
    if ahead.abs() > CLOCK_SKEW {
        Finding::warn(
            "clock",
            found,
            "it decides nothing, the server's clock does; but times in logs mislead: set the clock (NTP)",
        )
    } else {
        Finding::ok("clock", found)
    }
}

/// Whether dead rows are cleaned up, and what keeps them.
pub(super) async fn vacuum(connection: &mut Transaction<'_>) -> Findings {
    let mut checks = Vec::new();
    let off = sqlx::query_file_scalar!("src/ops/doctor/autovacuum.sql")
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    checks.push(if off.is_empty() {
        Finding::ok("autovacuum", "on")
    } else {
        Finding::warn(
            "autovacuum",
            format!("off for {}", off.join(", ")),
            "the queue's rows change several times each: without it every claim gets slower; turn it on",
        )
    });
    let holders = sqlx::query_file!("src/ops/status/holders.sql", 20_i64)
        .fetch_all(Unnamed(connection))
        .await?;
    let long: Vec<_> = holders
        .iter()
        .filter(|holder| is_old(holder.since_seconds, holder.xids))
        .map(|holder| {
            let kind = holder.kind.replace('_', " ");
            let pid = holder
                .pid
                .map(|pid| format!(", process {pid}"))
                .unwrap_or_default();
            let age = holder.since_seconds.map_or_else(
                || format!("{} transactions back", holder.xids),
                |seconds| format!("{:.0} min old", seconds / 60.0),
            );
            format!("{kind} {:?}{pid}, {age}", holder.name)
        })
        .collect();
    checks.push(if long.is_empty() {
        Finding::ok("old transactions", "none that the role can see")
    } else {
        Finding::warn(
            "old transactions",
            long.join("; "),
            "while it lasts vacuum removes no dead row, and claims slow down: end it \
             (pg_terminate_backend, ROLLBACK PREPARED, pg_drop_replication_slot)",
        )
    });
    Ok(checks)
}

/// Slots have no age in seconds.
fn is_old(since_seconds: Option<f64>, xids: i32) -> bool {
    since_seconds.map_or(xids > MANY, |seconds| seconds > LONG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::Severity;

    #[test]
    fn versions_are_judged_by_their_major_number() {
        assert_eq!(version(12, "12.22").severity, Severity::Problem);
        assert_eq!(version(13, "13.0").severity, Severity::Ok);
        assert_eq!(version(18, "18.1").severity, Severity::Ok);
    }

    #[test]
    fn transactions_are_old_by_time_and_slots_by_number() {
        assert!(is_old(Some(901.0), 1) && !is_old(Some(899.0), i32::MAX));
        assert!(is_old(None, 1_000_001) && !is_old(None, 1_000_000));
    }

    #[test]
    fn clocks_are_compared_in_both_directions() {
        assert_eq!(skew(0.04).severity, Severity::Ok);
        insta::assert_snapshot!(skew(-2.5).found, @"this machine is 2.5 s behind the server");
        insta::assert_snapshot!(skew(90.0).found, @"this machine is 90.0 s ahead of the server");
        assert_eq!(
            (skew(-2.5).severity, skew(90.0).severity),
            (Severity::Warn, Severity::Warn)
        );
    }
}
