//! A transaction that never waits without end.

use sqlx::{Connection as _, Postgres, SqlSafeStr};

use super::Session;
use super::deadline::Deadline;

/// An open transaction. Statements run in it by way of [`Unnamed`](super::Unnamed), each within its
/// deadline. Dropped, it is rolled back.
#[derive(Debug)]
pub struct Transaction<'s> {
    pub(super) inner: sqlx::Transaction<'s, Postgres>,
    pub(super) deadline: &'s Deadline,
}

impl<'s> Transaction<'s> {
    pub(super) async fn begin(
        session: &'s mut Session,
        statement: impl SqlSafeStr + Send,
    ) -> Result<Self, sqlx::Error> {
        let deadline = &session.database.deadline;
        let beginning = session.connection.begin_with(statement);
        let inner = deadline.bound(beginning).await?;
        Ok(Self { inner, deadline })
    }

    /// Runs commands that take no parameters and return nothing.
    pub async fn command(&mut self, sql: impl SqlSafeStr + Send) -> Result<(), sqlx::Error> {
        let running = sqlx::raw_sql(sql).execute(&mut *self.inner);
        self.deadline.bound(running).await.map(|_| ())
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
