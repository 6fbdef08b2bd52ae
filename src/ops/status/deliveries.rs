//! Deliveries by channel, and the targets that hold them up.

use serde::Serialize;

use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// What was finished in a day that is looked at.
const MOST_FINISHED: i64 = 200_000;
/// Targets that are named.
const MOST_TARGETS: i64 = 50;

/// Deliveries by channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Deliveries {
    /// Each channel, whether it has anything or not.
    pub channels: Vec<ChannelState>,
    /// Whether more was finished in the last day than is looked at: then those figures are of the
    /// latest.
    pub is_last_day_capped: bool,
    /// Recipients whose e-mails wait for their next digest.
    pub digest_recipients_count: u64,
    /// Targets that are paused, fail or are disabled.
    pub targets: Vec<Target>,
}

/// The deliveries of one channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChannelState {
    /// Its name.
    pub channel: String,
    /// Would be sent now.
    pub due_count: u64,
    /// For how long the first of them has been due.
    pub oldest_due_age_seconds: Option<f64>,
    /// Would be sent now, were their target not paused.
    pub paused_count: u64,
    /// Wait for their time, as after a failed attempt.
    pub scheduled_count: u64,
    /// When the first of these is due.
    pub next_due_in_seconds: Option<f64>,
    /// Of all that wait: were tried before.
    pub retrying_count: u64,
    /// Are being sent.
    pub sending_count: u64,
    /// Of these: for longer than a sender may take, so that it must be gone.
    pub expired_leases_count: u64,
    /// Failed for good.
    pub dead_count: u64,
    /// May have arrived or not.
    pub uncertain_count: u64,
    /// Were delivered in the last day.
    pub delivered_last_day_count: u64,
    /// Were cancelled in the last day.
    pub cancelled_last_day_count: u64,
}

/// A target that is paused, failing or disabled.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Target {
    /// The endpoint's name; of a route or transport, its own.
    pub name: String,
    /// Its channel.
    pub channel: String,
    /// For how much longer nothing is sent to it.
    pub paused_for_seconds: Option<f64>,
    /// For how long each attempt has failed.
    pub failing_for_seconds: Option<f64>,
    /// Attempts that failed since.
    pub failures_count: u64,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// Why it is disabled, if it is.
    pub disabled_reason: Option<String>,
    /// How long it has been.
    pub disabled_for_seconds: Option<f64>,
}

#[derive(sqlx::FromRow)]
struct ChannelRow {
    channel: String,
    due: i64,
    due_seconds: Option<f64>,
    paused: i64,
    scheduled: i64,
    next_seconds: Option<f64>,
    retrying: i64,
    sending: i64,
    expired: i64,
    dead: i64,
    uncertain: i64,
    delivered: i64,
    cancelled: i64,
}

#[derive(sqlx::FromRow)]
struct TargetRow {
    target: Option<String>,
    endpoint: Option<String>,
    channel: String,
    paused_seconds: Option<f64>,
    failing_seconds: Option<f64>,
    failures: i32,
    last_error: Option<String>,
    disabled_reason: Option<String>,
    disabled_seconds: Option<f64>,
}

pub(super) async fn deliveries(
    connection: &mut Transaction<'_>,
) -> Result<Deliveries, sqlx::Error> {
    let channels: Vec<ChannelRow> = sqlx::query_as(include_str!("channels.sql"))
        .bind(MOST_FINISHED)
        .bind(Channel::ALL.map(Channel::name))
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    let recipients: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT user_id) FROM pending_emails
          WHERE status = 'pending' AND delivery_type = 'aggregated'",
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    let targets: Vec<TargetRow> = sqlx::query_as(include_str!("targets.sql"))
        .bind(MOST_TARGETS)
        .fetch_all(Unnamed(connection))
        .await?;
    let finished: i64 = channels
        .iter()
        .map(|row| row.delivered + row.cancelled)
        .sum();
    Ok(Deliveries {
        channels: channels.into_iter().map(ChannelState::from).collect(),
        is_last_day_capped: finished >= MOST_FINISHED,
        digest_recipients_count: recipients.unsigned_abs(),
        targets: targets.into_iter().map(Target::from).collect(),
    })
}

impl From<ChannelRow> for ChannelState {
    fn from(row: ChannelRow) -> Self {
        Self {
            channel: row.channel,
            due_count: row.due.unsigned_abs(),
            oldest_due_age_seconds: row.due_seconds,
            paused_count: row.paused.unsigned_abs(),
            scheduled_count: row.scheduled.unsigned_abs(),
            next_due_in_seconds: row.next_seconds,
            retrying_count: row.retrying.unsigned_abs(),
            sending_count: row.sending.unsigned_abs(),
            expired_leases_count: row.expired.unsigned_abs(),
            dead_count: row.dead.unsigned_abs(),
            uncertain_count: row.uncertain.unsigned_abs(),
            delivered_last_day_count: row.delivered.unsigned_abs(),
            cancelled_last_day_count: row.cancelled.unsigned_abs(),
        }
    }
}

impl From<TargetRow> for Target {
    fn from(row: TargetRow) -> Self {
        Self {
            name: row.endpoint.or(row.target).unwrap_or_default(),
            channel: row.channel,
            paused_for_seconds: row.paused_seconds,
            failing_for_seconds: row.failing_seconds,
            failures_count: u64::from(row.failures.unsigned_abs()),
            last_error: row.last_error,
            disabled_reason: row.disabled_reason,
            disabled_for_seconds: row.disabled_seconds,
        }
    }
}
