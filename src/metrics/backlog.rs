//! What waits, as the database sees it.

use crate::db::{Access, Database, Unnamed};

/// What waits at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Backlog {
    /// Events that are pending, due or not.
    pub(super) events: f64,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    pub(super) oldest_age: f64,
    /// Events that failed and wait for a person.
    pub(super) failed: f64,
    /// The database's clock, in seconds since 1970.
    pub(super) now: f64,
}

pub(super) async fn read(database: &Database) -> Result<Backlog, sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let backlog = sqlx::query_file_as!(Backlog, "src/metrics/backlog.sql")
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    session.close().await?;
    Ok(backlog)
}
