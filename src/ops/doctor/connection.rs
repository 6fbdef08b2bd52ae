//! Checks the connection: role, TLS, pooler.

use std::collections::BTreeSet;

use super::{Finding, Findings, failed, said};
use crate::db::{Access, Database, Session, Transaction, Unnamed};

/// Whose turn it is. Servers handed out last-in-first-out show in the change from one connection
/// to the other, those handed out in turns where the same connection comes twice.
const TURNS: [bool; 8] = [true, false, true, true, false, false, true, false];

/// Server, role, and whether the connection is encrypted.
pub(super) async fn check(connection: &mut Transaction<'_>, place: &str) -> Findings {
    let row = sqlx::query_file!("src/ops/doctor/connection.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let power = match (row.is_superuser, row.bypasses_rls) {
        (true, _) => {
            ", a superuser (scripts/grants.sql makes a role with just the privileges needed)"
        }
        (false, true) => ", exempt from row-level security",
        _ => "",
    };
    let found = format!("{place} as {}{power}", row.role);
    let check = match (row.is_local, row.has_tls) {
        (true, _) => Finding::ok(
            "connection",
            format!("{found}; the server sees a local connection"),
        ),
        (false, true) => Finding::ok("connection", format!("{found}; TLS")),
        (false, false) => Finding::warn(
            "connection",
            format!("{found}; the server sees no TLS"),
            "unless a pooler that the server trusts ends it, add ?sslmode=require to DATABASE_URL \
             (verify-full, with sslrootcert, also authenticates the server)",
        ),
    };
    Ok(vec![check])
}

/// Whether transactions of one connection meet different servers.
///
/// Two connections take turns. Straight to the server, or through a pooler that gives each its
/// own for the session, they keep one process each, and never the same. A pooler in transaction
/// mode either hands both the same idle server, or one of them several. Nothing is left behind:
/// no state of a session is touched.
pub(super) async fn pooler(
    database: &Database,
    session: &mut Session,
) -> Result<Finding, sqlx::Error> {
    const NAME: &str = "pooler";
    let mut other = match database.connect().await {
        Ok(other) => other,
        Err(error) => {
            return Ok(Finding::warn(
                NAME,
                format!("unknown: a second connection is refused: {}", said(&error)),
                "one connection is enough for a run; --exclusive and the metrics file take a second",
            ));
        }
    };
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    for is_ours in TURNS {
        let (session, seen) = if is_ours {
            (&mut *session, &mut ours)
        } else {
            (&mut other, &mut theirs)
        };
        match process(session).await {
            Ok(pid) => seen.insert(pid),
            Err(error) => return failed(NAME, error),
        };
    }
    other.close().await?;
    Ok(Finding::ok(
        NAME,
        if !ours.is_disjoint(&theirs) || ours.len() > 1 || theirs.len() > 1 {
            "in transaction mode: every command works through it as it is; only LISTEN would not, \
             and nothing here listens"
        } else {
            "none, or one in session mode: everything works"
        },
    ))
}

async fn process(session: &mut Session) -> Result<i32, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let pid = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#)
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    Ok(pid)
}
