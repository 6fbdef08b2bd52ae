//! Taking hold of due events.

use chrono::{DateTime, Utc};

use super::understand::understand;
use super::{Settings, handled_types};
use crate::db::{Transaction, Unnamed};
use crate::domain::event::{EventRow, InvalidEvent};
use crate::handlers::{EventType, Handler};

/// Events that are ours until somebody resets the claim.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The fence: rises with every claim, whoever makes it.
    pub(super) token: i64,
    /// Ascending by event.
    pub(super) events: Vec<ClaimedEvent>,
    /// Events whose type is ignored: completed without effect.
    pub(super) ignored: u64,
    /// Events that were too old.
    pub(super) expired: Vec<i64>,
    /// The types of events that were too old and have no handler.
    pub(super) expired_unhandled: Vec<String>,
    /// Events whose row in `domain_events` is gone, or hidden from this role.
    pub(super) gone: Vec<i64>,
    /// The types of events that no handler knows.
    pub(super) unhandled: Vec<String>,
}

/// One event with the attempt that it has just spent.
#[derive(Debug)]
pub(super) struct ClaimedEvent {
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    pub(super) occurred_at: DateTime<Utc>,
    /// 1 for the first.
    pub(super) attempt: u32,
    pub(super) handler: Result<Box<dyn Handler>, InvalidEvent>,
}

impl Claim {
    /// Whether nothing at all was due.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.ignored == 0
            && self.expired.is_empty()
            && self.expired_unhandled.is_empty()
            && self.gone.is_empty()
            && self.unhandled.is_empty()
    }
}

/// Claims up to `oldest` due events, oldest first, and up to `companions` more that are due in the
/// same threads, passing over what others hold.
pub(super) async fn claim(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    oldest: i64,
    companions: i64,
) -> Result<Claim, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/fan_out/claim.sql",
        oldest,
        settings.processor_id,
        settings.max_event_age.as_secs_f64(),
        &handled_types(),
        companions,
        &settings.ignored_types,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut claim = Claim::default();
    for row in rows {
        claim.token = row.token;
        match (row.verdict.as_str(), EventType::from_name(&row.event_type)) {
            ("claimed", Some(event_type)) => {
                let event = EventRow {
                    id: row.event_id,
                    event_type: row.event_type,
                    occurred_at: row.occurred_at,
                    actor_id: row.actor_id,
                    project_id: row.project_id,
                    org_id: row.org_id,
                    resource_id: row.resource_id,
                    thread_id: row.thread_id,
                    meeting_id: row.meeting_id,
                    payload: None,
                };
                claim.events.push(ClaimedEvent {
                    event_id: row.event_id,
                    event_type,
                    occurred_at: row.occurred_at,
                    attempt: row.attempt.unsigned_abs(),
                    handler: understand(event_type, event, row.payload.as_deref()),
                });
            }
            ("ignored", _) => claim.ignored += 1,
            ("expired", Some(_)) => claim.expired.push(row.event_id),
            ("expired", None) => claim.expired_unhandled.push(row.event_type),
            ("gone", _) => claim.gone.push(row.event_id),
            _ => claim.unhandled.push(row.event_type),
        }
    }
    Ok(claim)
}
