//! Mutes e-mails for a person, whatever their preferences were.

use serde::Serialize;

use super::UnsubscribeRequest;
use crate::db::{Access, Session, Unnamed};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsubscribeOutcome {
    Unsubscribed,
    AlreadyUnsubscribed,
    /// The person is gone, and nothing is left to mute.
    NoSuchPerson,
}

/// Mutes in the person's global preferences, and wherever a more specific preference asks for such
/// e-mails. Doing it again changes nothing.
pub async fn apply(
    session: &mut Session,
    request: &UnsubscribeRequest,
) -> Result<UnsubscribeOutcome, sqlx::Error> {
    let event_type = request.scope.as_str();
    let mut transaction = session.begin(Access::ReadWrite).await?;
    // Under a lock: rows of global scope have no scope_id, and where NULLs are distinct no unique
    // index keeps two of us from writing the same.
    let is_known: bool = sqlx::query_scalar(include_str!("person.sql"))
        .bind(request.user_id)
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    if !is_known {
        return Ok(UnsubscribeOutcome::NoSuchPerson);
    }
    let mut changed = 0;
    // First what is missing, then what is there: what somebody else inserts meanwhile stops the
    // first, without an error, and is seen by the second.
    for statement in [include_str!("insert.sql"), include_str!("mute.sql")] {
        let done = sqlx::query(statement)
            .bind(request.user_id)
            .bind(event_type)
            .execute(Unnamed(&mut transaction))
            .await?;
        changed += done.rows_affected();
    }
    transaction.commit().await?;
    Ok(if changed > 0 {
        UnsubscribeOutcome::Unsubscribed
    } else {
        UnsubscribeOutcome::AlreadyUnsubscribed
    })
}
