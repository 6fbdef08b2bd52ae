//! A transaction that never waits without end.

use sqlx::{Connection as _, Postgres, SqlSafeStr};

use super::deadline::Deadline;
use super::{ErrorClass, Session};

/// An open transaction. Statements run in it by way of [`Unnamed`](super::Unnamed), each within its
/// deadline. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Transaction<'s> {
    pub(super) inner: sqlx::Transaction<'s, Postgres>,
    pub(super) deadline: &'s Deadline,
    pub(super) keeps_statements: bool,
}

impl<'s> Transaction<'s> {
    pub(super) async fn begin(
        session: &'s mut Session,
        statement: impl SqlSafeStr + Send,
    ) -> Result<Self, sqlx::Error> {
        let deadline = &session.database.deadline;
        let beginning = session.connection.begin_with(statement);
        let inner = deadline.bound(beginning).await?;
        Ok(Self {
            inner,
            deadline,
            keeps_statements: false,
        })
    }

    /// Runs commands that take no parameters and return nothing.
    pub async fn command(&mut self, sql: impl SqlSafeStr + Send) -> Result<(), sqlx::Error> {
        let running = sqlx::raw_sql(sql).execute(&mut *self.inner);
        self.deadline.bound(running).await.map(|_| ())
    }

    /// Does `work`. If the database refuses it, it is rolled back and the transaction continues.
    pub async fn in_savepoint<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<T, sqlx::Error>,
    ) -> Result<Result<T, sqlx::Error>, sqlx::Error> {
        self.command("SAVEPOINT part").await?;
        let done = work(self).await;
        match &done {
            Ok(_) => self.command("RELEASE SAVEPOINT part").await?,
            Err(error) if ErrorClass::of(error) == ErrorClass::Unreachable => return done.map(Ok),
            Err(_) => self.command("ROLLBACK TO SAVEPOINT part").await?,
        }
        Ok(done)
    }

    /// Ends the transaction; what it wrote stays.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.deadline.bound(self.inner.commit()).await
    }

    /// Ends the transaction; what it wrote is gone.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.deadline.bound(self.inner.rollback()).await
    }
}
