//! Claims due events.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decode::{DecodedEvent, Disposition, decode_event};
use super::{Settings, handled_types};
use crate::db::{Transaction, Unnamed};
use crate::domain::payload::PAYLOAD_MAX;
use crate::handlers::EventType;

/// Events that are ours until somebody resets the claim.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// The fence: rises with every claim, whoever makes it.
    pub(super) token: i64,
    /// Ascending by event.
    pub(super) events: Vec<DecodedEvent>,
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

/// A row of the claim as it was read.
struct ClaimRow {
    event_id: i64,
    event_type: String,
    actor_id: Option<Uuid>,
    project_id: Option<Uuid>,
    org_id: Option<Uuid>,
    resource_id: Option<Uuid>,
    thread_id: Option<Uuid>,
    meeting_id: Option<Uuid>,
    payload: Option<String>,
    oversize: Option<i32>,
    occurred_at: DateTime<Utc>,
    disposition: Disposition,
    attempt: i32,
    token: i64,
    xid: i64,
}

/// A claim that is not decoded yet: that comes after its commit, or what can't be decoded would be
/// claimed for ever without an attempt.
pub(super) struct Undecoded(Vec<ClaimRow>);

impl Undecoded {
    /// The transaction that claimed.
    pub(super) fn xid(&self) -> Option<i64> {
        self.0.first().map(|row| row.xid)
    }

    /// Decodes the payloads on a thread of their own; the others go on meanwhile.
    pub(super) async fn decode(self) -> Claim {
        tokio::task::spawn_blocking(|| self.0.into_iter().fold(Claim::default(), Claim::with))
            .await
            .unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }
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

    fn with(mut self, row: ClaimRow) -> Self {
        self.token = row.token;
        let handled = EventType::from_name(&row.event_type);
        match (row.disposition, handled) {
            (Disposition::Claimed, Some(event_type)) => {
                let attempt = row.attempt.unsigned_abs();
                let event = decode_event!(row, row.event_id, event_type, row.occurred_at, attempt);
                self.events.push(event);
            }
            (Disposition::Ignored, _) => self.ignored += 1,
            (Disposition::Expired, Some(_)) => self.expired.push(row.event_id),
            (Disposition::Expired, None) => self.expired_unhandled.push(row.event_type),
            (Disposition::Gone, _) => self.gone.push(row.event_id),
            (Disposition::Unhandled, _) | (Disposition::Claimed, None) => {
                self.unhandled.push(row.event_type);
            }
        }
        self
    }
}

/// Claims up to `oldest` due events, oldest first, and up to `companions` more that are due in the
/// same threads, skipping those that others hold.
pub(super) async fn claim(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    oldest: i64,
    companions: i64,
) -> Result<Undecoded, sqlx::Error> {
    let rows = sqlx::query_file_as!(
        ClaimRow,
        "src/fan_out/claim.sql",
        oldest,
        settings.processor_id,
        settings.max_event_age.as_secs_f64(),
        &handled_types(),
        companions,
        &settings.ignored_types,
        PAYLOAD_MAX,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    Ok(Undecoded(rows))
}
