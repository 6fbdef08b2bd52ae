//! How things stand: one snapshot, taken in a transaction that cannot write.
//!
//! What waits, works or failed is counted from partial indexes that hold nothing else. Of what is
//! done only the last day is looked at, and of that no more than a fixed number of events; the
//! rest of the history is an estimate of the statistics collector.

mod deliveries;

pub use deliveries::{ChannelState, Deliveries, Target};

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Access, Session, Transaction, Unnamed};
use crate::handlers::EventType;

/// Kinds of failure that are listed; the others are counted.
const MOST_FAILURES: i64 = 10;
/// Completions of a window that are looked at.
const MOST_COMPLETIONS: i64 = 200_000;
/// What holds vacuum back, at most.
const MOST_HOLDERS: i64 = 5;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Status {
    /// When, by the database's clock.
    pub checked_at: DateTime<Utc>,
    /// What waits.
    pub backlog: Backlog,
    /// What is claimed.
    pub processing: Processing,
    /// What completes without effect.
    pub ignored: Ignored,
    /// What failed for good.
    pub failed: Failed,
    /// Mails that wait to be sent.
    pub pending_emails: PendingEmails,
    /// Deliveries.
    pub deliveries: Deliveries,
    /// What was completed in the last hour.
    pub last_hour: Window,
    /// What was completed in the last day.
    pub last_day: Window,
    /// What keeps vacuum from its work.
    pub vacuum: Vacuum,
    /// The service's tables.
    pub tables: Vec<Table>,
}

/// Events that wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Backlog {
    /// Would be claimed now.
    pub due_count: u64,
    /// Age of the oldest of them.
    pub oldest_due_age_seconds: Option<f64>,
    /// Wait for their time, as after a failed attempt.
    pub scheduled_count: u64,
    /// When the first of these is due.
    pub next_due_in_seconds: Option<f64>,
    /// Of the due and the scheduled: were tried before.
    pub retrying_count: u64,
    /// Wait for a binary that knows their type.
    pub without_handler_count: u64,
    /// Those, type by type.
    pub without_handler: Vec<WithoutHandler>,
    /// Age of the oldest event that waits, for whatever.
    pub oldest_age_seconds: Option<f64>,
}

/// Events of a type that has no handler.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WithoutHandler {
    /// The type.
    pub event_type: String,
    /// How many.
    pub count: u64,
    /// Age of the oldest.
    pub oldest_age_seconds: f64,
    /// When the first of them expires.
    pub expires_in_seconds: f64,
}

/// Events that are claimed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Processing {
    /// How many.
    pub count: u64,
    /// Claimed for so long that the worker must be gone.
    pub stuck_count: u64,
    /// Age of the oldest of those claims.
    pub oldest_stuck_age_seconds: Option<f64>,
    /// From when on a claim counts as stuck.
    pub stuck_after_seconds: f64,
}

/// Events whose type is ignored.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ignored {
    /// The types.
    pub event_types: Vec<String>,
    /// How many completed so in the last day.
    pub last_day_count: u64,
}

/// Events that failed for good, until a person retries them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Failed {
    /// How many.
    pub count: u64,
    /// Kinds of errors among them.
    pub kinds_count: u64,
    /// The most frequent kinds.
    pub kinds: Vec<FailureKind>,
}

/// Failures whose errors differ in details only.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FailureKind {
    /// The error, `…` for what differs; `retry --error` finds them by it.
    pub error: String,
    /// How many.
    pub count: u64,
    /// The types of the events.
    pub event_types: Vec<String>,
    /// One of the events, to look into.
    pub example_event_id: i64,
    /// When the latest failed.
    pub latest_at: DateTime<Utc>,
    /// How long ago that is.
    pub latest_age_seconds: f64,
}

/// E-mails that wait to be sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PendingEmails {
    /// To be sent at once.
    pub immediate_count: u64,
    /// To be sent in a digest.
    pub aggregated_count: u64,
    /// Age of the oldest.
    pub oldest_age_seconds: Option<f64>,
}

/// What was completed in a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Window {
    /// How many; the limit if there were more.
    pub completed_count: u64,
    /// How many of these were ignored.
    pub ignored_count: u64,
    /// Whether there were more than are looked at: then the figures are those of the latest.
    pub is_capped: bool,
    /// The time that the figures are of.
    pub seconds: f64,
    /// Completions per second of it.
    pub completed_per_second: f64,
    /// From occurrence to completion: half of the events took no longer.
    pub latency_p50_seconds: Option<f64>,
    /// 95 of 100 took no longer.
    pub latency_p95_seconds: Option<f64>,
    /// 99 of 100 took no longer.
    pub latency_p99_seconds: Option<f64>,
}

/// What keeps vacuum from removing dead rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Vacuum {
    /// What reaches back furthest first.
    pub held_back_by: Vec<Holder>,
    /// Sessions of this database that the role may not look into; any of them may hold vacuum back as well.
    pub hidden_sessions_count: u64,
}

/// Something that may still see rows that are dead to others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// The application's, the prepared transaction's or the slot's name.
    pub name: String,
    /// The server process.
    pub pid: Option<i32>,
    /// What it is doing.
    pub state: Option<String>,
    /// How long its transaction has been open.
    pub age_seconds: Option<f64>,
    /// How many transactions began since.
    pub age_transactions_count: i64,
}

/// What can hold vacuum back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum HolderKind {
    /// An open transaction.
    Session,
    /// One prepared for a commit in two phases.
    PreparedTransaction,
    /// A subscriber or standby, even while it is away.
    ReplicationSlot,
}

/// A table of the service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// About how many rows it has; empty before the first ANALYZE.
    pub estimated_rows_count: Option<u64>,
    /// About how many dead rows wait for vacuum.
    pub dead_rows_count: u64,
    /// When the server last vacuumed it by itself.
    pub last_autovacuum_at: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub last_autovacuum_age_seconds: Option<f64>,
    /// When a person last did.
    pub last_vacuum_at: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub last_vacuum_age_seconds: Option<f64>,
}

/// Looks. `stuck_after` is the age from which on a claim counts as abandoned, `ignored_types` are
/// those of the configuration.
pub async fn status(
    session: &mut Session,
    stuck_after: Duration,
    ignored_types: Vec<String>,
) -> Result<Status, sqlx::Error> {
    let known = [EventType::all_spellings(), ignored_types.clone()].concat();
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let row = sqlx::query_file!(
        "src/ops/status/backlog.sql",
        stuck_after.as_secs_f64(),
        &known
    )
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    let without_handler = without_handler(&mut transaction, &known).await?;
    let last_day = window(&mut transaction, 86_400.0).await?;
    let status = Status {
        checked_at: row.checked_at,
        backlog: Backlog {
            due_count: row.due.unsigned_abs(),
            oldest_due_age_seconds: row.due_seconds,
            scheduled_count: row.scheduled.unsigned_abs(),
            next_due_in_seconds: row.next_seconds,
            retrying_count: row.retrying.unsigned_abs(),
            without_handler_count: without_handler.iter().map(|of_type| of_type.count).sum(),
            without_handler,
            oldest_age_seconds: row.oldest_seconds,
        },
        processing: Processing {
            count: row.claims.unsigned_abs(),
            stuck_count: row.stuck.unsigned_abs(),
            oldest_stuck_age_seconds: row.stuck_seconds,
            stuck_after_seconds: stuck_after.as_secs_f64(),
        },
        ignored: Ignored {
            event_types: ignored_types,
            last_day_count: last_day.ignored_count,
        },
        failed: failed(&mut transaction).await?,
        pending_emails: pending_emails(&mut transaction).await?,
        deliveries: deliveries::deliveries(&mut transaction).await?,
        last_hour: window(&mut transaction, 3_600.0).await?,
        last_day,
        vacuum: vacuum(&mut transaction).await?,
        tables: tables(&mut transaction).await?,
    };
    transaction.commit().await?;
    Ok(status)
}

async fn without_handler(
    connection: &mut Transaction<'_>,
    known: &[String],
) -> Result<Vec<WithoutHandler>, sqlx::Error> {
    let rows = sqlx::query_file!("src/ops/status/unhandled.sql", known)
        .fetch_all(Unnamed(connection))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| WithoutHandler {
            event_type: row.event_type,
            count: row.events.unsigned_abs(),
            oldest_age_seconds: row.oldest_seconds,
            expires_in_seconds: row.expires_seconds,
        })
        .collect())
}

async fn failed(connection: &mut Transaction<'_>) -> Result<Failed, sqlx::Error> {
    let rows = sqlx::query_file!("src/ops/status/failed.sql", MOST_FAILURES)
        .fetch_all(Unnamed(connection))
        .await?;
    let (count, kinds_count) = rows
        .first()
        .map_or((0, 0), |row| (row.all_events, row.kinds));
    Ok(Failed {
        count: count.unsigned_abs(),
        kinds_count: kinds_count.unsigned_abs(),
        kinds: rows
            .into_iter()
            .map(|row| FailureKind {
                error: row.error,
                count: row.events.unsigned_abs(),
                event_types: row.event_types,
                example_event_id: row.event_id,
                latest_at: row.latest_at,
                latest_age_seconds: row.latest_seconds,
            })
            .collect(),
    })
}

async fn pending_emails(connection: &mut Transaction<'_>) -> Result<PendingEmails, sqlx::Error> {
    let row = sqlx::query_file!("src/ops/status/emails.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    Ok(PendingEmails {
        immediate_count: row.immediate.unsigned_abs(),
        aggregated_count: row.aggregated.unsigned_abs(),
        oldest_age_seconds: row.oldest_seconds,
    })
}

async fn window(connection: &mut Transaction<'_>, seconds: f64) -> Result<Window, sqlx::Error> {
    let row = sqlx::query_file!("src/ops/status/window.sql", seconds, MOST_COMPLETIONS)
        .fetch_one(Unnamed(connection))
        .await?;
    let is_capped = row.completed >= MOST_COMPLETIONS;
    let seconds = if is_capped {
        row.reaches_back_seconds.unwrap_or(seconds).max(1.0)
    } else {
        seconds
    };
    let percentile = |no: usize| row.percentiles.as_ref()?.get(no).copied();
    Ok(Window {
        completed_count: row.completed.unsigned_abs(),
        ignored_count: row.ignored.unsigned_abs(),
        is_capped,
        seconds,
        // Exact: no more than MOST_COMPLETIONS are counted.
        completed_per_second: f64::from(i32::try_from(row.completed).unwrap_or(i32::MAX)) / seconds,
        latency_p50_seconds: percentile(0),
        latency_p95_seconds: percentile(1),
        latency_p99_seconds: percentile(2),
    })
}

async fn vacuum(connection: &mut Transaction<'_>) -> Result<Vacuum, sqlx::Error> {
    let rows = sqlx::query_file!("src/ops/status/holders.sql", MOST_HOLDERS)
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    let hidden = sqlx::query_scalar!(
        r#"SELECT count(*) AS "hidden!" FROM pg_stat_activity
            WHERE query = '<insufficient privilege>' AND datname = current_database()"#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(Vacuum {
        held_back_by: rows
            .into_iter()
            .map(|row| Holder {
                kind: row.kind,
                name: row.name,
                pid: row.pid,
                state: row.state,
                age_seconds: row.since_seconds,
                age_transactions_count: i64::from(row.xids),
            })
            .collect(),
        hidden_sessions_count: hidden.unsigned_abs(),
    })
}

async fn tables(connection: &mut Transaction<'_>) -> Result<Vec<Table>, sqlx::Error> {
    let rows = sqlx::query_file!("src/ops/status/tables.sql")
        .fetch_all(Unnamed(connection))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Table {
            name: row.table,
            estimated_rows_count: (!row.is_unknown).then_some(row.rows.unsigned_abs()),
            dead_rows_count: row.dead.unsigned_abs(),
            last_autovacuum_at: row.last_autovacuum,
            last_autovacuum_age_seconds: row.last_autovacuum_seconds,
            last_vacuum_at: row.last_vacuum,
            last_vacuum_age_seconds: row.last_vacuum_seconds,
        })
        .collect())
}
