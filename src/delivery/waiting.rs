//! What is due and was not sent, and why.

use super::lease::Reach;
use super::report::{Paused, Waiting};
use super::{EMAIL, SMS};
use crate::db::{Access, Session, Unnamed};

/// What waits for a way to be sent, and for its target to open again.
pub(super) async fn look(
    session: &mut Session,
    reach: &Reach,
) -> Result<(Waiting, Vec<Paused>), sqlx::Error> {
    let is_closed = |target: &str| reach.closed.iter().any(|closed| closed == target);
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let mut waiting = Waiting::default();
    if !reach.closed.is_empty() {
        let found = sqlx::query_file!("src/delivery/waiting.sql")
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        if is_closed(EMAIL) {
            waiting.mails = (found.mails + found.deliveries).unsigned_abs();
        }
        if is_closed(SMS) {
            waiting.texts = found.texts.unsigned_abs();
        }
    }
    let paused = sqlx::query_file!("src/delivery/paused.sql", &reach.closed)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    let paused = paused.into_iter().map(|row| Paused {
        name: row.name,
        seconds: row.seconds,
        reason: row.last_error,
        messages: row.messages.unsigned_abs(),
    });
    Ok((waiting, paused.collect()))
}

/// Seconds until the first paused target opens for which something is due.
pub(super) async fn next_opening(
    session: &mut Session,
    reach: &Reach,
) -> Result<Option<f64>, sqlx::Error> {
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let seconds = sqlx::query_file_scalar!("src/delivery/pauses.sql", &reach.closed)
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    Ok(seconds)
}
