//! The connection of a run, and transactions on it that are tried again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::db::{Access, Database, ErrorClass, Session, Transaction, sqlstate};

/// How often a transaction is tried that conflicts with others.
pub(super) const TRIES: u32 = 5;
/// Pause before another try.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Connection<'a> {
    database: Database,
    stop: &'a CancellationToken,
    session: Option<Session>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(database: Database, stop: &'a CancellationToken) -> Self {
        Self {
            database,
            stop,
            session: None,
        }
    }

    pub(super) async fn open(&mut self) -> Result<(), sqlx::Error> {
        self.session = Some(self.database.connect().await?);
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.session.is_some()
    }

    /// Drops a connection that does not answer within this time.
    pub(super) async fn check(&mut self, within: Duration) {
        if let Some(session) = &mut self.session
            && !session.answers(within).await
        {
            self.session = None;
        }
    }

    /// Drops a connection that is not to be used again.
    pub(super) fn forget(&mut self) {
        self.session = None;
    }

    pub(super) async fn close(self) {
        if let Some(session) = self.session {
            // The work is done; an error changes nothing.
            let _ = session.close().await;
        }
    }

    /// Does `work` in one transaction.
    pub(super) async fn transact<T>(
        &mut self,
        access: Access,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let session = self.session.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        let working = async {
            let mut transaction = session.begin_indexed(access).await?;
            let done = work(&mut transaction).await?;
            match access {
                Access::ReadOnly => transaction.rollback().await?,
                Access::ReadWrite | Access::Brief => transaction.commit().await?,
            }
            Ok(done)
        };
        self.database.with_deadline(working).await
    }

    /// As [`transact`](Self::transact), and again after a conflict or a lost connection.
    pub(super) async fn retry<T>(
        &mut self,
        access: Access,
        mut work: impl AsyncFnMut(&mut Transaction<'_>) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let mut tries = 1;
        loop {
            match self.transact(access, &mut work).await {
                Ok(done) => return Ok(done),
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        }
    }

    /// Prepares another try, or returns the error. Deliveries that an earlier try leased unnoticed are
    /// reclaimed when their leases expire.
    pub(super) async fn recover(
        &mut self,
        error: sqlx::Error,
        tries: u32,
    ) -> Result<(), sqlx::Error> {
        self.recover_from(error, tries, None).await.map(drop)
    }

    /// As [`recover`](Self::recover); `true`: the transaction `xid`, whose `COMMIT` was not answered, was
    /// committed.
    pub(super) async fn recover_from(
        &mut self,
        error: sqlx::Error,
        tries: u32,
        xid: Option<i64>,
    ) -> Result<bool, sqlx::Error> {
        tracing::debug!(sqlstate = sqlstate(&error), tries, "trying again");
        match ErrorClass::of(&error) {
            ErrorClass::Unreachable => {
                self.session = None;
                let (session, is_committed) = self.database.reconnect(self.stop, xid).await?;
                self.session = Some(session);
                Ok(is_committed)
            }
            ErrorClass::Contended | ErrorClass::Blocked if tries < TRIES => {
                tokio::time::sleep(CONFLICT_PAUSE * tries).await;
                Ok(false)
            }
            _ => Err(error),
        }
    }
}
