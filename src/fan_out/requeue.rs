//! Ending claims whose events were not written.

use super::FanOutSettings;
use super::decode::DecodedEvent;
use super::resolve::column;
use super::write::Written;
use crate::db::{ErrorClass, Transaction, Unnamed, said, sqlstate};
use crate::domain::backoff;

/// How a claim ends whose event was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum ClaimEnd {
    Failed,
    Retried,
    Released,
}

impl ClaimEnd {
    const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::Released => "released",
        }
    }
}

/// An event that goes back to the queue, or fails.
#[derive(Debug)]
pub(super) struct Requeue {
    event_id: i64,
    token: i64,
    end: ClaimEnd,
    /// With the database's message, which may repeat a value of the row: for its table only.
    error: Option<String>,
    due_after: Option<f64>,
}

impl Requeue {
    /// An event that the database refuses: it spends its attempt.
    pub(super) fn refused(
        event: &DecodedEvent,
        token: i64,
        error: &sqlx::Error,
        settings: &FanOutSettings,
    ) -> Self {
        let permanent = match ErrorClass::of(error) {
            ErrorClass::Refused => true,
            ErrorClass::Contended => sqlstate(error).is_some_and(|code| code.starts_with("23")),
            ErrorClass::Unreachable
            | ErrorClass::Blocked
            | ErrorClass::Server
            | ErrorClass::Other => false,
        };
        let spent = event.attempt >= settings.max_attempts;
        let due_after = (!permanent && !spent).then(|| delay(event.attempt));
        let why = if spent && !permanent {
            "out of attempts: database refused"
        } else {
            "database refused"
        };
        tracing::warn!(
            event_id = event.event_id,
            event_type = event.event_type.name(),
            attempt = event.attempt,
            retry_after_seconds = due_after,
            "{why}: {}",
            code(error),
        );
        Self {
            event_id: event.event_id,
            token,
            end: if due_after.is_some() {
                ClaimEnd::Retried
            } else {
                ClaimEnd::Failed
            },
            error: Some(described(why, error)),
            due_after,
        }
    }

    /// An event that keeps its attempt: nothing was tried, or the cause is outside of it,
    /// and may be gone in a minute.
    pub(super) fn released(event_id: i64, token: i64, error: Option<String>) -> Self {
        Self {
            event_id,
            token,
            end: ClaimEnd::Released,
            due_after: error.is_some().then(|| delay(1)),
            error,
        }
    }
}

fn delay(attempt: u32) -> f64 {
    backoff::delay(attempt, rand::random()).as_secs_f64()
}

fn code(error: &sqlx::Error) -> String {
    sqlstate(error).map_or_else(
        || "no SQLSTATE".to_owned(),
        |code| format!("SQLSTATE {code}"),
    )
}

/// What stood in the way, as it is kept with the event.
pub(super) fn described(why: &str, error: &sqlx::Error) -> String {
    format!("{why}: {}: {}", code(error), said(error))
}

/// Ends their claims, in one statement.
pub(super) async fn requeue(
    transaction: &mut Transaction<'_>,
    events: &[Requeue],
) -> Result<Written, sqlx::Error> {
    let mut written = Written::default();
    if events.is_empty() {
        return Ok(written);
    }
    let ended = sqlx::query_file!(
        "src/fan_out/requeue.sql",
        &column(events, |event| event.event_id),
        &column(events, |event| event.token),
        &column(events, |event| event.end.name().to_owned()),
        &column(events, |event| event.error.clone()) as &[Option<String>],
        &column(events, |event| event.due_after) as &[Option<f64>],
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let report = &mut written.report;
    report.lost_claims = (events.len() - ended.len()) as u64;
    for event in ended {
        written.xid = Some(event.xid);
        *match event.end {
            ClaimEnd::Failed => &mut report.failed,
            ClaimEnd::Retried => &mut report.retried,
            ClaimEnd::Released => &mut report.released,
        } += 1;
    }
    Ok(written)
}
