//! What waits to leave the building, as the database sees it.

use crate::db::{Access, Database, Unnamed};
use crate::domain::channel::Kind;

/// What waits on one channel at one moment.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(super) struct Waiting {
    /// The channel.
    pub(super) channel: String,
    /// Deliveries that are pending or being sent, and mails that are about to be.
    pub(super) depth: f64,
    /// For how long the first of them has been due, in seconds; 0 if none is.
    pub(super) oldest_due_age: f64,
    /// Deliveries that were given up.
    pub(super) dead: f64,
    /// Deliveries that may have arrived or not.
    pub(super) uncertain: f64,
    /// The database's clock, in seconds since 1970.
    pub(super) now: f64,
}

/// Every channel.
pub(super) async fn read(database: &Database) -> Result<Vec<Waiting>, sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let waiting = sqlx::query_as(include_str!("queue.sql"))
        .bind(Kind::ALL.map(Kind::name))
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    session.close().await?;
    Ok(waiting)
}
