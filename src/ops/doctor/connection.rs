//! Checks the server and the connection to it: version, writes, role, TLS, pooler.

use std::collections::BTreeSet;

use super::{Finding, Findings, said};
use crate::db::{Access, Database, Session, Transaction, Unnamed};

/// The oldest major version whose SQL is enough.
const OLDEST: i32 = 13;
/// The one the tests run on.
const TESTED: i32 = 15;

/// Whose turn it is. Servers handed out last-in-first-out show in the change from one connection
/// to the other, those handed out in turns where the same connection comes twice.
const TURNS: [bool; 8] = [true, false, true, true, false, false, true, false];

/// Server, role, and whether the connection is encrypted.
pub(super) async fn check(connection: &mut Transaction<'_>, place: &str) -> Findings {
    let row = sqlx::query!(
        r#"SELECT current_user::text AS "role!", r.rolsuper AS "is_superuser!", r.rolbypassrls AS "bypasses_rls!",
                  coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS "has_tls!",
                  (inet_client_addr() IS NULL OR inet_client_addr() << '127.0.0.0/8'
                   OR inet_client_addr() = '::1' OR inet_client_addr() = inet_server_addr()) AS "is_local!"
             FROM pg_roles r
            WHERE r.rolname = current_user"#
    )
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
    Ok(vec![match (row.is_local, row.has_tls) {
        (true, _) => Finding::ok(format!("{found}; the server sees a local connection")),
        (false, true) => Finding::ok(format!("{found}; TLS")),
        (false, false) => Finding::warn(
            format!("{found}; the server sees no TLS"),
            "unless a pooler that the server trusts ends it, add ?sslmode=require to DATABASE_URL \
             (verify-full, with sslrootcert, also authenticates the server)",
        ),
    }])
}

pub(super) async fn server(connection: &mut Transaction<'_>) -> Findings {
    let row = sqlx::query!(
        r#"SELECT current_setting('server_version_num')::int / 10000 AS "major!",
                  split_part(current_setting('server_version'), ' ', 1) AS "version!""#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let found = format!("PostgreSQL {}", row.version);
    Ok(vec![if row.major < OLDEST {
        Finding::problem(found, format!("PostgreSQL {OLDEST} or newer is needed"))
    } else {
        Finding::ok(format!(
            "{found} (needed: {OLDEST} or newer; tested: {TESTED})"
        ))
    }])
}

/// Whether the server takes writes.
pub(super) async fn writes(connection: &mut Transaction<'_>) -> Findings {
    let is_standby = sqlx::query_scalar!(r#"SELECT pg_is_in_recovery() AS "is_standby!""#)
        .fetch_one(Unnamed(connection))
        .await?;
    let standby = is_standby.then(|| {
        Finding::problem(
            "this server is a standby and takes none",
            "dry runs, explain and status work here; for run, let DATABASE_URL lead to the primary",
        )
    });
    Ok(standby.into_iter().collect())
}

/// Whether transactions of one connection meet different servers; with whether they do.
///
/// Two connections take turns. Straight to the server, or through a pooler that gives each its
/// own for the session, they keep one process each, and never the same. A pooler in transaction
/// mode either hands both the same idle server, or one of them several. Nothing is left behind:
/// no state of a session is touched.
pub(super) async fn pooler(
    database: &Database,
    session: &mut Session,
) -> Result<(Finding, bool), sqlx::Error> {
    let mut other = match database.connect().await {
        Ok(other) => other,
        Err(error) => {
            let finding = Finding::warn(
                format!("unknown: a second connection is refused: {}", said(&error)),
                "one connection is enough for a run; --exclusive and the metrics file take a second",
            );
            return Ok((finding, false));
        }
    };
    let (mut ours, mut theirs) = (BTreeSet::new(), BTreeSet::new());
    for is_ours in TURNS {
        if is_ours {
            ours.insert(process(session).await?);
        } else {
            theirs.insert(process(&mut other).await?);
        }
    }
    other.close().await?;
    let is_shared = !ours.is_disjoint(&theirs) || ours.len() > 1 || theirs.len() > 1;
    let finding = Finding::ok(if is_shared {
        "in transaction mode: every command works through it as it is"
    } else {
        "none, or one in session mode: everything works"
    });
    Ok((finding, is_shared))
}

async fn process(session: &mut Session) -> Result<i32, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let pid = sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#)
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    Ok(pid)
}
