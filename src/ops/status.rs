//! How things stand: one snapshot, taken in a transaction that cannot write.
//!
//! What waits, works or failed is counted from partial indexes that hold nothing else. Of what is
//! done only the last day is looked at, and of that no more than a fixed number of events; the
//! rest of the history is an estimate of the statistics collector.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;

use crate::channels::Channel;
use crate::daemon::name;
use crate::db::{Access, Session, Transaction, Unnamed};
use crate::handlers::EventType;

/// Kinds of failure that are listed; the others are counted.
const MOST_FAILURES: i64 = 10;
/// Completions of a window, or finished deliveries of a day, that are looked at.
const MOST_COMPLETIONS: i64 = 200_000;
/// What holds vacuum back, at most.
const MOST_HOLDERS: i64 = 5;
/// Targets that are named.
const MOST_TARGETS: i64 = 50;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Status {
    /// When, by the database's clock.
    pub checked_at: DateTime<Utc>,
    pub backlog: Backlog,
    pub processing: Processing,
    pub ignored: Ignored,
    pub failed: Failed,
    pub pending_emails: PendingEmails,
    pub deliveries: Deliveries,
    pub last_hour: Window,
    pub last_day: Window,
    pub daemons: Vec<Daemon>,
    pub vacuum: Vacuum,
    pub tables: Vec<Table>,
}

/// Events that wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Backlog {
    /// Would be claimed now.
    pub due_count: i64,
    pub oldest_due_age_seconds: Option<f64>,
    /// Wait for their time, as after a failed attempt.
    pub scheduled_count: i64,
    pub next_due_in_seconds: Option<f64>,
    /// Of the due and the scheduled: were tried before.
    pub retrying_count: i64,
    /// Wait for a binary that knows their type.
    pub without_handler_count: i64,
    pub without_handler: Json<Vec<WithoutHandler>>,
    /// Age of the oldest event that waits, for whatever.
    pub oldest_age_seconds: Option<f64>,
}

/// Events of a type that has no handler.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WithoutHandler {
    pub event_type: String,
    pub count: i64,
    pub oldest_age_seconds: f64,
    /// When the first of them expires.
    pub expires_in_seconds: f64,
}

/// Events that are claimed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Processing {
    pub count: i64,
    /// Claimed for so long that the worker must be gone.
    pub stuck_count: i64,
    pub oldest_stuck_age_seconds: Option<f64>,
    /// From when on a claim counts as stuck.
    pub stuck_after_seconds: f64,
}

/// Events whose type is ignored: they complete without effect.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ignored {
    pub event_types: Vec<String>,
    pub last_day_count: i64,
}

/// Events that failed for good, until a person retries them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Failed {
    pub count: i64,
    pub kinds_count: i64,
    /// The most frequent kinds.
    pub kinds: Json<Vec<FailureKind>>,
}

/// Failures whose errors differ in details only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailureKind {
    /// The error, `…` for what differs; `retry --error` finds them by it.
    pub error: String,
    pub count: i64,
    pub event_types: Vec<String>,
    /// One of the events, to look into.
    pub example_event_id: i64,
    /// When the latest failed.
    pub latest_at: DateTime<Utc>,
    pub latest_age_seconds: f64,
}

/// E-mails that wait to be sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PendingEmails {
    /// To be sent at once.
    pub immediate_count: i64,
    /// To be sent in a digest.
    pub aggregated_count: i64,
    pub oldest_age_seconds: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Deliveries {
    /// Each channel, whether it has anything or not.
    pub channels: Vec<ChannelState>,
    /// Whether more was finished in the last day than is looked at: then those figures are of the
    /// latest.
    pub is_last_day_capped: bool,
    /// Recipients whose e-mails wait for their next digest.
    pub digest_recipients_count: i64,
    /// Targets that are paused, fail or are disabled.
    pub targets: Vec<Target>,
}

/// The deliveries of one channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChannelState {
    pub channel: String,
    /// Would be sent now.
    pub due_count: i64,
    /// For how long the first of them has been due.
    pub oldest_due_age_seconds: Option<f64>,
    /// Would be sent now, were their target not paused.
    pub paused_count: i64,
    /// Wait for their time, as after a failed attempt.
    pub scheduled_count: i64,
    pub next_due_in_seconds: Option<f64>,
    /// Of all that wait: were tried before.
    pub retrying_count: i64,
    pub sending_count: i64,
    /// Of these: for longer than a sender may take, so that it must be gone.
    pub expired_leases_count: i64,
    pub dead_count: i64,
    pub uncertain_count: i64,
    pub delivered_last_day_count: i64,
    pub cancelled_last_day_count: i64,
}

/// A target that is paused, failing or disabled.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Target {
    /// The endpoint's name; of a route or transport, its own.
    pub name: String,
    pub channel: String,
    /// For how much longer nothing is sent to it.
    pub paused_for_seconds: Option<f64>,
    /// For how long each attempt has failed.
    pub failing_for_seconds: Option<f64>,
    /// Attempts that failed since.
    pub failures_count: i32,
    /// Why the last one did.
    pub last_error: Option<String>,
    pub disabled_reason: Option<String>,
    pub disabled_for_seconds: Option<f64>,
}

/// What was completed in a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Window {
    /// How many; the limit if there were more.
    pub completed_count: i64,
    pub ignored_count: i64,
    /// Whether there were more than are looked at: then the figures are those of the latest.
    pub is_capped: bool,
    /// The time that the figures are of.
    pub seconds: f64,
    pub completed_per_second: f64,
    /// From occurrence to completion: half of the events took no longer.
    pub latency_p50_seconds: Option<f64>,
    pub latency_p95_seconds: Option<f64>,
    pub latency_p99_seconds: Option<f64>,
}

/// A daemon that is connected, by its watching connection.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Daemon {
    /// Host, process and run, as claims have it; a long host is truncated.
    pub id: String,
    /// `listen` or `poll`; `None` before that is known.
    pub mode: Option<String>,
    /// Since when; `None` where the role may not see it, as the others.
    pub connected_at: Option<DateTime<Utc>>,
    pub connected_age_seconds: Option<f64>,
    /// When it last asked or answered.
    pub seen_at: Option<DateTime<Utc>>,
    pub seen_age_seconds: Option<f64>,
}

/// What keeps vacuum from removing dead rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Vacuum {
    /// What reaches back furthest first.
    pub held_back_by: Vec<Holder>,
    /// Sessions of this database that the role may not look into; any of them may hold vacuum back as well.
    pub hidden_sessions_count: i64,
}

/// Something that may still see rows that are dead to others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
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
    pub name: String,
    /// `None` before the first ANALYZE.
    pub estimated_rows_count: Option<i64>,
    pub dead_rows_count: i64,
    pub last_autovacuum_at: Option<DateTime<Utc>>,
    pub last_autovacuum_age_seconds: Option<f64>,
    /// When a person last did.
    pub last_vacuum_at: Option<DateTime<Utc>>,
    pub last_vacuum_age_seconds: Option<f64>,
}

/// `stuck_after` is the age from which on a claim counts as abandoned, `ignored_types` are those of the
/// configuration.
pub async fn status(
    session: &mut Session,
    stuck_after: Duration,
    ignored_types: Vec<String>,
) -> Result<Status, sqlx::Error> {
    let known = [EventType::all_spellings(), ignored_types.clone()].concat();
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let last_day = window(&mut transaction, 86_400.0).await?;
    let status = Status {
        checked_at: sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
            .fetch_one(Unnamed(&mut transaction))
            .await?,
        backlog: sqlx::query_file_as!(Backlog, "src/ops/status/backlog.sql", &known)
            .fetch_one(Unnamed(&mut transaction))
            .await?,
        processing: sqlx::query_file_as!(
            Processing,
            "src/ops/status/processing.sql",
            stuck_after.as_secs_f64()
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?,
        ignored: Ignored {
            event_types: ignored_types,
            last_day_count: last_day.ignored_count,
        },
        failed: sqlx::query_file_as!(Failed, "src/ops/status/failed.sql", MOST_FAILURES)
            .fetch_one(Unnamed(&mut transaction))
            .await?,
        pending_emails: sqlx::query_file_as!(PendingEmails, "src/ops/status/emails.sql")
            .fetch_one(Unnamed(&mut transaction))
            .await?,
        deliveries: deliveries(&mut transaction).await?,
        last_hour: window(&mut transaction, 3_600.0).await?,
        last_day,
        daemons: daemons(&mut transaction).await?,
        vacuum: vacuum(&mut transaction).await?,
        tables: sqlx::query_file_as!(Table, "src/ops/status/tables.sql")
            .fetch_all(Unnamed(&mut transaction))
            .await?,
    };
    transaction.commit().await?;
    Ok(status)
}

async fn deliveries(connection: &mut Transaction<'_>) -> Result<Deliveries, sqlx::Error> {
    let channels = sqlx::query_file_as!(
        ChannelState,
        "src/ops/status/channels.sql",
        MOST_COMPLETIONS,
        &Channel::ALL.map(|channel| channel.name().to_owned())
    )
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let digest_recipients_count = sqlx::query_scalar!(
        r#"SELECT count(DISTINCT user_id) AS "people!" FROM pending_emails
            WHERE status = 'pending' AND delivery_type = 'aggregated'"#
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    let targets = sqlx::query_file_as!(Target, "src/ops/status/targets.sql", MOST_TARGETS)
        .fetch_all(Unnamed(connection))
        .await?;
    let finished = channels
        .iter()
        .map(|state| state.delivered_last_day_count + state.cancelled_last_day_count);
    Ok(Deliveries {
        is_last_day_capped: finished.sum::<i64>() >= MOST_COMPLETIONS,
        channels,
        digest_recipients_count,
        targets,
    })
}

async fn window(connection: &mut Transaction<'_>, seconds: f64) -> Result<Window, sqlx::Error> {
    sqlx::query_file_as!(
        Window,
        "src/ops/status/window.sql",
        seconds,
        MOST_COMPLETIONS
    )
    .fetch_one(Unnamed(connection))
    .await
}

async fn daemons(connection: &mut Transaction<'_>) -> Result<Vec<Daemon>, sqlx::Error> {
    let rows = sqlx::query_file!("src/ops/status/daemons.sql", name::PREFIX)
        .fetch_all(Unnamed(connection))
        .await?;
    let daemons = rows.into_iter().filter_map(|row| {
        let (id, mode) = name::read(&row.name)?;
        Some(Daemon {
            id: id.to_owned(),
            mode: mode.map(str::to_owned),
            connected_at: row.connected_at,
            connected_age_seconds: row.connected_age_seconds,
            seen_at: row.seen_at,
            seen_age_seconds: row.seen_age_seconds,
        })
    });
    let mut daemons: Vec<_> = daemons.collect();
    // A pooler gives the name to each server connection that it lends.
    daemons.dedup_by(|next, kept| next.id == kept.id);
    Ok(daemons)
}

async fn vacuum(connection: &mut Transaction<'_>) -> Result<Vacuum, sqlx::Error> {
    let held_back_by = sqlx::query_file_as!(Holder, "src/ops/status/holders.sql", MOST_HOLDERS)
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    let hidden_sessions_count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "hidden!" FROM pg_stat_activity
            WHERE query = '<insufficient privilege>' AND datname = current_database()"#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(Vacuum {
        held_back_by,
        hidden_sessions_count,
    })
}
