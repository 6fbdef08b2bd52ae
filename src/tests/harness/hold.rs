//! Locks that a test holds to stop a worker where it wants it.

use sqlx::{AssertSqlSafe, PgConnection};

/// A transaction that holds what it has locked until it is let go.
#[derive(Debug)]
pub(crate) struct Hold(PgConnection);

impl Hold {
    pub(super) async fn new(connection: PgConnection, statements: &str) -> Self {
        let mut hold = Self(connection);
        hold.execute("BEGIN").await;
        hold.execute(statements).await;
        hold
    }

    /// Does more within the transaction.
    pub(crate) async fn execute(&mut self, statements: &str) {
        self.try_execute(statements)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statements}"));
    }

    /// Does more within the transaction, come what may.
    pub(crate) async fn try_execute(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut self.0)
            .await
            .map(|_| ())
    }

    /// Commits, and lets go.
    pub(crate) async fn release(mut self) {
        self.execute("COMMIT").await;
    }
}
