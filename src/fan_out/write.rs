//! Writing what was planned and settling the events, in one fenced transaction.

use std::borrow::Cow;

use serde::Serialize;
use sqlx::types::Json;

use super::report::FanOutReport;
use super::resolve::{PlanRow, with_resolve};
use crate::db::{Access, Session, Unnamed};
use crate::domain::event::InvalidEvent;
use crate::domain::plan::{InApp, Plan};
use crate::handlers::EventType;

/// A claimed event with what is to become of it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    /// 1 for the first.
    pub(super) attempt: u32,
    pub(super) resolution: Resolution,
}

/// What is to become of an event.
#[derive(Debug)]
pub(super) enum Resolution {
    /// It completes with these effects.
    Effects(Vec<Plan>),
    /// It fails, or waits for another attempt.
    Unsuccessful {
        /// For a person to read.
        error: EventError,
        /// Seconds until the next attempt; `None`: there is none.
        retry_after: Option<f64>,
    },
}

/// Why an event did not succeed.
#[derive(Debug)]
pub(super) enum EventError {
    /// Its handler can't understand it; says nothing of the values in it.
    Invalid(InvalidEvent),
    /// The database would not take its effects.
    Refused {
        /// Stands before the code where no attempt is left.
        gave_up: bool,
        sqlstate: String,
        /// The database's words, which may repeat a value.
        message: String,
    },
}

impl EventError {
    /// For `error_message`.
    fn text(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.to_string(),
            Self::Refused { message, .. } => format!("{}: {message}", self.log()),
        }
    }

    /// For the log.
    fn log(&self) -> String {
        match self {
            Self::Invalid(invalid) => invalid.to_string(),
            Self::Refused {
                gave_up, sqlstate, ..
            } => {
                let refused = format!("database refused: SQLSTATE {sqlstate}");
                if *gave_up {
                    format!("out of attempts: {refused}")
                } else {
                    refused
                }
            }
        }
    }
}

#[derive(Debug, Serialize)]
struct Unsuccessful {
    event_id: i64,
    error: String,
    retry_after: Option<f64>,
}

#[derive(Debug, sqlx::FromRow)]
struct Each {
    notifications: i64,
    emails: i64,
    settled: i64,
    suppressed: i64,
}

#[derive(Debug, sqlx::FromRow)]
struct Coalesced {
    notifications: i64,
    delivered: i64,
    suppressed: i64,
}

const WRITE_EACH: &str = with_resolve!("write_each.sql");
const WRITE_COALESCED: &str = with_resolve!("write_coalesced.sql");

/// An event that is still ours, with the seconds since it occurred.
struct Held {
    event_id: i64,
    latency: Option<f64>,
}

/// Writes and settles the events given (ascending) under the claim's token. An error leaves
/// everything as it was; so does a claim that is no longer ours, event by event.
pub(super) async fn write(
    session: &mut Session,
    token: i64,
    events: &[Prepared],
) -> Result<FanOutReport, sqlx::Error> {
    let ids: Vec<i64> = events.iter().map(|event| event.event_id).collect();
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let held = sqlx::query_file_as!(Held, "src/fan_out/fence.sql", &ids, token)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    let mut report = FanOutReport {
        batches: 1,
        lost_claims: (ids.len() - held.len()) as u64,
        ..FanOutReport::default()
    };
    let ids: Vec<i64> = held.iter().map(|held| held.event_id).collect();
    let mine: Vec<_> = events
        .iter()
        .filter(|event| ids.binary_search(&event.event_id).is_ok())
        .collect();
    let plans: Vec<_> = mine.iter().flat_map(|event| split_plans(event)).collect();
    let (coalesced, each): (Vec<_>, Vec<_>) = plans
        .iter()
        .enumerate()
        .map(|(no, (event, plan))| PlanRow::new(no, event.event_id, event.event_type, plan))
        .partition(PlanRow::is_coalesced);
    let unsuccessful: Vec<_> = mine
        .iter()
        .filter_map(|event| unsuccessful(event))
        .collect();

    let written: Each = sqlx::query_as(WRITE_EACH)
        .bind(Json(&each))
        .bind(&ids)
        .bind(Json(&unsuccessful))
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    debug_assert_eq!(written.settled.unsigned_abs(), ids.len() as u64);
    report.notifications = written.notifications.unsigned_abs();
    report.emails = written.emails.unsigned_abs();
    report.suppressed = written.suppressed.unsigned_abs();
    if !coalesced.is_empty() {
        let merging: Coalesced = sqlx::query_as(WRITE_COALESCED)
            .bind(Json(&coalesced))
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        report.notifications += merging.notifications.unsigned_abs();
        report.merged += (merging.delivered - merging.notifications).unsigned_abs();
        report.suppressed += merging.suppressed.unsigned_abs();
    }
    transaction.commit().await?;
    for (event, held) in mine.iter().zip(&held) {
        tell(event, held.latency, &mut report);
    }
    Ok(report)
}

/// Counts and logs an event that is settled for good.
fn tell(event: &Prepared, latency: Option<f64>, report: &mut FanOutReport) {
    let (event_id, event_type) = (event.event_id, event.event_type.name());
    match &event.resolution {
        Resolution::Effects(_) => {
            report.events += 1;
            report.latencies.extend(latency);
            tracing::debug!(event_id, event_type, "completed");
        }
        Resolution::Unsuccessful { error, retry_after } => {
            let count = if retry_after.is_some() {
                &mut report.retried
            } else {
                &mut report.failed
            };
            *count += 1;
            // The database's words may repeat a value of the row; they are for its table only.
            tracing::warn!(
                event_id,
                event_type,
                attempt = event.attempt,
                retry_after_seconds = retry_after,
                "{}",
                error.log(),
            );
        }
    }
}

/// Coalescing plans are written apart: one that also mails becomes two.
fn split_plans(event: &Prepared) -> Vec<(&Prepared, Cow<'_, Plan>)> {
    let Resolution::Effects(plans) = &event.resolution else {
        return Vec::new();
    };
    let mut split = Vec::with_capacity(plans.len());
    for plan in plans {
        if matches!(plan.in_app, InApp::Coalesced { .. }) && plan.email.is_some() {
            let told = Plan {
                email: None,
                ..plan.clone()
            };
            let mailed = Plan {
                in_app: InApp::None,
                ..plan.clone()
            };
            split.extend([(event, Cow::Owned(told)), (event, Cow::Owned(mailed))]);
        } else {
            split.push((event, Cow::Borrowed(plan)));
        }
    }
    split
}

fn unsuccessful(event: &Prepared) -> Option<Unsuccessful> {
    match &event.resolution {
        Resolution::Effects(_) => None,
        Resolution::Unsuccessful { error, retry_after } => Some(Unsuccessful {
            event_id: event.event_id,
            error: error.text(),
            retry_after: *retry_after,
        }),
    }
}
