//! Claims due events.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decode::{DecodedEvent, Disposition, decode_event};
use super::report::FanOutReport;
use super::{FanOutSettings, handled_types};
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
    /// What became of those that are not to be written.
    pub(super) report: FanOutReport,
    /// Whether nothing at all was due.
    pub(super) is_empty: bool,
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
#[derive(Default)]
pub(super) struct Undecoded(Vec<ClaimRow>);

impl Undecoded {
    /// The transaction that claimed.
    pub(super) fn xid(&self) -> Option<i64> {
        self.0.first().map(|row| row.xid)
    }

    /// Decodes the payloads on a thread of their own; the others go on meanwhile.
    pub(super) async fn decode(self) -> Claim {
        let claim = Claim {
            is_empty: self.0.is_empty(),
            ..Claim::default()
        };
        tokio::task::spawn_blocking(|| self.0.into_iter().fold(claim, Claim::with))
            .await
            .unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }
}

impl Claim {
    fn with(mut self, row: ClaimRow) -> Self {
        self.token = row.token;
        let event_id = row.event_id;
        let report = &mut self.report;
        match (row.disposition, EventType::from_name(&row.event_type)) {
            (Disposition::Claimed, Some(event_type)) => {
                let attempt = row.attempt.unsigned_abs();
                let event = decode_event!(row, event_id, event_type, row.occurred_at, attempt);
                self.events.push(event);
            }
            (Disposition::Ignored, _) => report.ignored += 1,
            (Disposition::Expired, Some(_)) => {
                tracing::warn!(event_id, "expired: pending for longer than the age limit");
                report.expired += 1;
            }
            (Disposition::Expired, None) => {
                *report.expired_unhandled.entry(row.event_type).or_default() += 1;
            }
            (Disposition::Gone, _) => {
                tracing::warn!(event_id, "the event is gone, or hidden from the job's role");
                report.failed += 1;
            }
            (Disposition::Unhandled, _) | (Disposition::Claimed, None) => {
                report.unhandled_types.insert(row.event_type);
            }
        }
        self
    }
}

/// Claims up to `oldest` due events, oldest first, and up to `companions` more that are due in the
/// same threads, skipping those that others hold.
pub(super) async fn claim(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    oldest: u64,
    companions: u64,
) -> Result<Undecoded, sqlx::Error> {
    let rows = sqlx::query_file_as!(
        ClaimRow,
        "src/fan_out/claim.sql",
        oldest.cast_signed(),
        settings.processor_id,
        settings.max_event_age.as_secs_f64(),
        &handled_types(),
        companions.cast_signed(),
        &settings.ignored_types,
        PAYLOAD_MAX,
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    Ok(Undecoded(rows))
}
