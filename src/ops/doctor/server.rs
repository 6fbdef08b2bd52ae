//! Checks the server: its version, and whether it takes writes.

use super::{Finding, Findings};
use crate::db::{Transaction, Unnamed};

/// The oldest major version whose SQL is enough.
const OLDEST: i32 = 13;
/// The one the tests run on.
const TESTED: i32 = 15;

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
}
