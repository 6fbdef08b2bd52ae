//! Who holds the lock that a write waits for.

use std::convert::Infallible;
use std::time::Duration;

use crate::db::{Access, Database, LOCK_TIMEOUT, Session, Unnamed};

/// Asked more than once within the time that a lock is waited for.
const FIRST: Duration = LOCK_TIMEOUT.saturating_sub(Duration::from_secs(2));
const AGAIN: Duration = Duration::from_millis(1_500);

/// Looks over another connection who keeps a transaction waiting, while it does.
#[derive(Debug)]
pub(super) struct Holders {
    database: Database,
    session: Option<Session>,
    /// Who did, when it was last seen.
    pub(super) seen: Option<String>,
}

impl Holders {
    pub(super) const fn new(database: Database) -> Self {
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
        let holders = sqlx::query_file_scalar!("src/fan_out/holders.sql", xid.to_string())
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        transaction.rollback().await?;
        Ok(holders)
    }
}
