//! Claims due events.

use super::FanOutSettings;
use super::decode::{DecodedEvent, Disposition, StoredEvent, stored_event};
use super::report::FanOutReport;
use crate::db::{Transaction, Unnamed};
use crate::domain::event::EventRow;
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

/// A claim that is not decoded yet: that comes after its commit, or what can't be decoded would be
/// claimed for ever without an attempt.
#[derive(Default)]
pub(super) struct Undecoded {
    token: i64,
    /// The transaction that claimed.
    pub(super) xid: Option<i64>,
    events: Vec<DueEvent>,
}

struct DueEvent {
    event: StoredEvent,
    disposition: Disposition,
    attempt: u32,
}

impl Undecoded {
    /// Decodes the payloads on a thread of their own; the others go on meanwhile.
    pub(super) async fn decode(self) -> Claim {
        let claim = Claim {
            token: self.token,
            is_empty: self.events.is_empty(),
            ..Claim::default()
        };
        tokio::task::spawn_blocking(|| self.events.into_iter().fold(claim, Claim::with))
            .await
            .unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
    }
}

impl Claim {
    fn with(mut self, due: DueEvent) -> Self {
        let EventRow { id, event_type, .. } = &due.event.row;
        let event_id = *id;
        let report = &mut self.report;
        match (due.disposition, EventType::from_name(event_type)) {
            (Disposition::Claimed, Some(event_type)) => {
                self.events.push(due.event.decode(event_type, due.attempt));
            }
            (Disposition::Ignored, _) => report.ignored += 1,
            (Disposition::Expired, Some(_)) => {
                tracing::warn!(event_id, "expired: pending for longer than the age limit");
                report.expired += 1;
            }
            (Disposition::Expired, None) => {
                let count = report.expired_unhandled.entry(event_type.clone());
                *count.or_default() += 1;
            }
            (Disposition::Gone, _) => {
                tracing::warn!(event_id, "the event is gone, or hidden from the job's role");
                report.failed += 1;
            }
            (Disposition::Unhandled, _) | (Disposition::Claimed, None) => {
                report.unhandled_types.insert(event_type.clone());
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
    let rows = sqlx::query_file!(
        "src/fan_out/claim.sql",
        oldest.cast_signed(),
        settings.processor_id,
        settings.max_event_age.as_secs_f64(),
        &EventType::all_spellings(),
        companions.cast_signed(),
        &settings.ignored_types,
        PAYLOAD_MAX,
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let mut claim = Undecoded::default();
    for row in rows {
        claim.token = row.token;
        claim.xid = Some(row.xid);
        claim.events.push(DueEvent {
            disposition: row.disposition,
            attempt: row.attempt.unsigned_abs(),
            event: stored_event!(row, row.event_id, row.occurred_at),
        });
    }
    Ok(claim)
}
