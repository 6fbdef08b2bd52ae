//! Who holds the lock that a write waits for.

use std::convert::Infallible;
use std::time::Duration;

use crate::db::{Access, Database, LOCK_TIMEOUT, Session, Unnamed};

/// Asked more than once within the time that a lock is waited for.
const FIRST: Duration = LOCK_TIMEOUT.saturating_sub(Duration::from_secs(2));
const AGAIN: Duration = Duration::from_millis(1_500);

/// What is known of them without their statements, which may hold secrets. State and time are visible
/// to members of `pg_read_all_stats` only, or of the holder's role.
const HOLDERS: &str = "SELECT string_agg(holder, '; ') FROM (
    SELECT DISTINCT CASE WHEN blocking.pid = 0 THEN 'a prepared transaction' ELSE
               concat_ws(', ', 'pid ' || blocking.pid, nullif(held.application_name, ''),
                   'user ' || held.usename, held.state,
                   'since ' || to_char(held.xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC')
           END AS holder
      FROM pg_stat_activity waiting
     CROSS JOIN unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
      LEFT JOIN pg_stat_activity held ON held.pid = blocking.pid
     WHERE waiting.backend_xid = $1::text::xid8::xid
     ORDER BY holder LIMIT 3) AS holders";

/// Looks over another connection who keeps a transaction waiting, while it does.
#[derive(Debug)]
pub(super) struct Holders<'a> {
    database: &'a Database,
    session: Option<Session>,
    /// Who did, when it was last seen.
    pub(super) seen: Option<String>,
}

impl<'a> Holders<'a> {
    pub(super) const fn new(database: &'a Database) -> Self {
        Self {
            database,
            session: None,
            seen: None,
        }
    }

    /// Does work of a transaction, and looks.
    pub(super) async fn during<T>(&mut self, xid: Option<i64>, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            result = work => result,
            never = self.look(xid) => match never {},
        }
    }

    async fn look(&mut self, xid: Option<i64>) -> Infallible {
        tokio::time::sleep(FIRST).await;
        if let Some(xid) = xid {
            while let Ok(holders) = self.ask(xid).await {
                self.seen = holders.or(self.seen.take());
                tokio::time::sleep(AGAIN).await;
            }
        }
        // The wait says enough without.
        std::future::pending().await
    }

    async fn ask(&mut self, xid: i64) -> Result<Option<String>, sqlx::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.database.connect().await?),
        };
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let holders = sqlx::query_scalar(HOLDERS)
            .bind(xid.to_string())
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        transaction.rollback().await?;
        Ok(holders)
    }
}
