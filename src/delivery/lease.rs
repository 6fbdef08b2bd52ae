//! Leases due deliveries and reclaims expired leases.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::report::DeliveryReport;
use super::retry_policy::{Attempted, Decision, Next};
use super::states::Code;
use super::{DIGEST, DeliverySettings, RetryPolicy};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// The reason of expired deliveries.
pub(super) const EXPIRED: &str = "expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE";

/// Leases reclaimed in one statement.
const RESCUED_AT_ONCE: i64 = 1_000;

/// A delivery that this process may send until the lease expires.
#[derive(Debug, Clone)]
pub(super) struct Leased {
    pub(super) id: i64,
    /// Identifies it to the receiver.
    pub(super) key: Uuid,
    pub(super) token: i64,
    pub(super) channel: Channel,
    pub(super) target: String,
    pub(super) recipient: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) endpoint_id: Option<Uuid>,
    pub(super) event_type: String,
    /// JSON.
    pub(super) message: String,
    pub(super) occurred_at: DateTime<Utc>,
    /// This one included.
    pub(super) attempts: u32,
    /// Since it was queued or requeued.
    pub(super) age: Duration,
    /// Since the first attempt after that.
    pub(super) tried_for: Duration,
    /// Consecutive failures of its target.
    pub(super) failures: u32,
}

/// The decision about a delivery that waited too long to be of use.
pub(super) fn expired(leased: &Leased, max_age: Duration) -> Option<Decision> {
    let is_old = leased.attempts <= 1 && leased.age > max_age;
    is_old.then(|| Decision::without_attempt(Next::Dead, Code::Expired, EXPIRED))
}

impl Leased {
    pub(super) fn is_digest(&self) -> bool {
        self.event_type == DIGEST
    }

    /// Whether its target is a transport for all recipients rather than one receiver.
    pub(super) fn is_shared(&self) -> bool {
        self.channel.is_shared() && self.target == self.channel.name()
    }
}

impl From<&Leased> for Attempted {
    fn from(leased: &Leased) -> Self {
        Self {
            channel: leased.channel,
            attempts: leased.attempts,
            tried_for: leased.tried_for,
            is_shared: leased.is_shared(),
            failures: leased.failures,
        }
    }
}

/// Leased deliveries, and the database's time.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub(super) now: Option<DateTime<Utc>>,
    pub(super) messages: Vec<Leased>,
}

/// What this process can send, and how long a lease lasts.
#[derive(Debug, Clone)]
pub(super) struct Capabilities {
    /// Targets without a transport.
    pub(super) unavailable: Vec<String>,
    /// The names of the environment's routes.
    pub(super) routes: Vec<String>,
    /// The transport of e-mails.
    pub(super) email_transport: Option<&'static str>,
    /// Duration of a lease.
    pub(super) lease: Duration,
    /// Duration of an e-mail's lease.
    pub(super) email_lease: Duration,
}

impl Capabilities {
    /// How long a lease of this channel lasts.
    pub(super) fn lease_of(&self, channel: Channel) -> Duration {
        match channel {
            Channel::Email => self.email_lease,
            _ => self.lease,
        }
    }
}

/// Leases up to `room` deliveries. `busy` counts those in flight, by target.
pub(super) async fn lease(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    capabilities: &Capabilities,
    busy: &BTreeMap<String, u32>,
    room: i64,
) -> Result<Leases, sqlx::Error> {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let targets: Vec<String> = busy.keys().cloned().collect();
    let in_flight: Vec<i32> = busy.values().copied().map(count).collect();
    let channels = Channel::ALL.map(|channel| channel.name().to_owned());
    let paces = Channel::ALL.map(|channel| channel.spec().pace.unwrap_or_default().as_secs_f64());
    let rows = sqlx::query_file!(
        "src/delivery/lease.sql",
        room,
        &targets,
        &in_flight,
        count(settings.per_target),
        &capabilities.unavailable,
        &channels,
        &paces,
        capabilities.lease.as_secs_f64(),
        settings.worker_id,
        capabilities.email_transport,
        capabilities.email_lease.as_secs_f64(),
        &capabilities.routes,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let now = rows.first().map(|row| row.now);
    let messages = rows.into_iter().filter_map(|row| {
        Some(Leased {
            // An unknown channel is never leased.
            channel: row.channel.parse().ok()?,
            id: row.id,
            key: row.key,
            token: row.token,
            target: row.target,
            recipient: row.recipient,
            user_id: row.user_id,
            endpoint_id: row.endpoint_id,
            event_type: row.event_type,
            message: row.message,
            occurred_at: row.occurred_at,
            attempts: row.attempts.unsigned_abs(),
            age: (row.now - row.queued_at).to_std().unwrap_or_default(),
            tried_for: row
                .tried_since
                .and_then(|since| (row.now - since).to_std().ok())
                .unwrap_or_default(),
            failures: row.failures.unsigned_abs(),
        })
    });
    Ok(Leases {
        now,
        messages: messages.collect(),
    })
}

/// Reclaims expired leases: requeues their deliveries, or holds those for a person that must not be sent
/// twice.
pub(super) async fn rescue(
    connection: &mut Transaction<'_>,
    retry_policy: &RetryPolicy,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let channels = Channel::ALL.map(|channel| channel.name().to_owned());
    let attempts = Channel::ALL.map(|channel| {
        i32::try_from(retry_policy.schedule(channel).attempts()).unwrap_or(i32::MAX)
    });
    let held = Channel::ALL.map(|channel| retry_policy.hold_uncertain.contains(&channel));
    loop {
        let taken = sqlx::query_file!(
            "src/delivery/rescue.sql",
            RESCUED_AT_ONCE,
            &channels,
            &attempts,
            &held,
        )
        .fetch_all(Unnamed(connection))
        .await?;
        for row in &taken {
            let Some(next) = Next::ended(&row.status)? else {
                continue;
            };
            // An unknown channel is never reclaimed.
            if let Ok(channel) = row.channel.parse() {
                report.count(channel, &row.event_type, next, row.messages.unsigned_abs());
            }
        }
        let count: i64 = taken.iter().map(|row| row.messages).sum();
        report.rescued += count.unsigned_abs();
        if count < RESCUED_AT_ONCE {
            return Ok(());
        }
    }
}
