//! Taking hold of what is due, and of what senders that are gone have left.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decide::{Decision, Next};
use super::report::DeliveryReport;
use super::{DIGEST, Rules, Settings};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// The reason of what grew too old.
pub(super) const EXPIRED: &str = "expired: it had waited for longer than NOTIFY_DELIVERY_MAX_AGE";

/// Leases taken over in one statement.
const RESCUED_AT_ONCE: i64 = 1_000;

/// A message that is ours to send until its lease ends.
#[derive(Debug, Clone)]
pub(super) struct Leased {
    pub(super) id: i64,
    /// What the outside knows it by.
    pub(super) key: Uuid,
    pub(super) token: i64,
    pub(super) kind: Channel,
    pub(super) target: String,
    pub(super) recipient: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) endpoint_id: Option<Uuid>,
    pub(super) event_type: String,
    /// JSON.
    pub(super) message: String,
    pub(super) occurred_at: DateTime<Utc>,
    /// The one that is spent now included.
    pub(super) attempts: u32,
    /// Since it was queued or requeued.
    pub(super) age: Duration,
    /// Since the first attempt after that.
    pub(super) tried_for: Duration,
    /// Consecutive failures of its target.
    pub(super) failures: u32,
}

/// Why it is a dead letter although nothing was attempted: by now it is of no use.
pub(super) fn expired(leased: &Leased, max_age: Duration) -> Option<Decision> {
    let is_old = leased.attempts <= 1 && leased.age > max_age;
    is_old.then(|| Decision::without_attempt(Next::Dead, "expired", EXPIRED))
}

impl Leased {
    pub(super) fn is_digest(&self) -> bool {
        self.event_type == DIGEST
    }

    /// Whether its target is this installation's way to all recipients, and not one receiver.
    pub(super) fn is_shared(&self) -> bool {
        self.kind.is_shared() && self.target == self.kind.name()
    }
}

/// What was leased, and when by the database's clock.
#[derive(Debug, Default)]
pub(super) struct Leases {
    pub(super) now: Option<DateTime<Utc>>,
    pub(super) messages: Vec<Leased>,
}

/// What can be sent from here, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    /// Targets that nothing can be sent to.
    pub(super) closed: Vec<String>,
    /// The names of the environment's routes.
    pub(super) routes: Vec<String>,
    /// What carries mails.
    pub(super) mails_by: Option<&'static str>,
    /// Until a lease ends.
    pub(super) lease: Duration,
    /// Until the lease of a mail ends.
    pub(super) mail_lease: Duration,
}

impl Reach {
    /// How long a lease of this channel lasts.
    pub(super) fn lease_of(&self, kind: Channel) -> Duration {
        match kind {
            Channel::Email => self.mail_lease,
            _ => self.lease,
        }
    }
}

/// Leases up to `room` messages. `busy` counts those that are on their way, by target.
pub(super) async fn lease(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    reach: &Reach,
    busy: &BTreeMap<String, u32>,
    room: i64,
) -> Result<Leases, sqlx::Error> {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let targets: Vec<String> = busy.keys().cloned().collect();
    let on_their_way: Vec<i32> = busy.values().copied().map(count).collect();
    let channels = Channel::ALL.map(|channel| channel.name().to_owned());
    let paces = Channel::ALL.map(|channel| channel.spec().pace.unwrap_or_default().as_secs_f64());
    let rows = sqlx::query_file!(
        "src/delivery/lease.sql",
        room,
        &targets,
        &on_their_way,
        count(settings.per_target),
        &reach.closed,
        &channels,
        &paces,
        reach.lease.as_secs_f64(),
        settings.sender_id,
        reach.mails_by,
        reach.mail_lease.as_secs_f64(),
        &reach.routes,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let now = rows.first().map(|row| row.now);
    let messages = rows.into_iter().filter_map(|row| {
        Some(Leased {
            // No others are taken.
            kind: row.channel.parse().ok()?,
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

/// Takes over what senders that are gone have left: back into the queue, or to a person where it
/// must not be sent twice.
pub(super) async fn rescue(
    connection: &mut Transaction<'_>,
    rules: &Rules,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let channels = Channel::ALL.map(|kind| kind.name().to_owned());
    let attempts =
        Channel::ALL.map(|kind| i32::try_from(rules.schedule(kind).attempts()).unwrap_or(i32::MAX));
    let held = Channel::ALL.map(|kind| rules.held.contains(&kind));
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
            let next = match row.status.as_str() {
                "uncertain" => Next::Uncertain,
                "dead" => Next::Dead,
                _ => continue,
            };
            // No others are taken.
            if let Ok(kind) = row.channel.parse() {
                report.count(kind, &row.event_type, next, row.messages.unsigned_abs());
            }
        }
        let count: i64 = taken.iter().map(|row| row.messages).sum();
        report.rescued += count.unsigned_abs();
        if count < RESCUED_AT_ONCE {
            return Ok(());
        }
    }
}
