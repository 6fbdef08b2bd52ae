//! Taking hold of due events.

use sqlx::PgConnection;

use super::{Settings, handled_types};
use crate::db::Unnamed;
use crate::domain::event::EventRow;
use crate::handlers::EventType;

/// Events that are ours until somebody resets the claim.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The fence: rises with every claim, whoever makes it.
    pub(super) token: i64,
    /// Ascending by event.
    pub(super) events: Vec<ClaimedEvent>,
    /// Events that were too old.
    pub(super) expired: Vec<i64>,
    /// The types of events that no handler knows.
    pub(super) unhandled: Vec<String>,
}

/// One event with the attempt that it has just spent.
#[derive(Debug)]
pub(super) struct ClaimedEvent {
    pub(super) event_type: EventType,
    pub(super) row: EventRow,
    /// 1 for the first.
    pub(super) attempt: u32,
}

/// Claims up to `at_most` due events, oldest first, passing over what others hold.
pub(super) async fn claim(
    connection: &mut PgConnection,
    settings: &Settings,
    at_most: i64,
) -> Result<Claim, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/fan_out/claim.sql",
        at_most,
        settings.processor_id,
        settings.max_event_age.as_secs_f64(),
        &handled_types(),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut claim = Claim::default();
    for row in rows {
        claim.token = row.token;
        match (row.verdict.as_str(), EventType::from_name(&row.event_type)) {
            ("claimed", Some(event_type)) => claim.events.push(ClaimedEvent {
                event_type,
                attempt: row.attempt.unsigned_abs(),
                row: EventRow {
                    id: row.event_id,
                    event_type: row.event_type,
                    actor_id: row.actor_id,
                    project_id: row.project_id,
                    org_id: row.org_id,
                    resource_id: row.resource_id,
                    thread_id: row.thread_id,
                    meeting_id: row.meeting_id,
                    payload: row.payload,
                },
            }),
            ("expired", _) => claim.expired.push(row.event_id),
            _ => claim.unhandled.push(row.event_type),
        }
    }
    Ok(claim)
}
