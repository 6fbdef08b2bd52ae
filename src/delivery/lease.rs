//! Leases due deliveries and reclaims expired leases.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leased::Leased;
use super::report::DeliveryReport;
use super::retry_policy::Next;
use super::states::DeliveryStatus;
use super::{DeliverySettings, RetryPolicy};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// Leases reclaimed in one statement.
const RESCUED_AT_ONCE: i64 = 1_000;

/// What this process can send, and how long a lease lasts.
#[derive(Debug, Clone)]
pub(super) struct Capabilities {
    /// Targets without a transport.
    pub(super) unavailable: Vec<String>,
    /// The names of the environment's routes.
    pub(super) routes: Vec<String>,
    pub(super) email_transport: Option<&'static str>,
    pub(super) lease: Duration,
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

/// The channels of this version; a statement leaves what goes through others to a newer one.
pub(super) fn channels() -> [String; Channel::ALL.len()] {
    Channel::ALL.map(|channel| channel.name().to_owned())
}

fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Leases up to `room` deliveries. `busy` counts those in flight, by target.
pub(super) async fn lease(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    capabilities: &Capabilities,
    busy: &BTreeMap<String, u32>,
    room: u64,
) -> Result<Vec<Leased>, sqlx::Error> {
    let targets: Vec<String> = busy.keys().cloned().collect();
    let in_flight: Vec<i32> = busy.values().copied().map(int).collect();
    let paces = Channel::ALL.map(|channel| channel.spec().pace.unwrap_or_default().as_secs_f64());
    sqlx::query_file_as!(
        Leased,
        "src/delivery/lease.sql",
        i64::try_from(room).unwrap_or(i64::MAX),
        &targets,
        &in_flight,
        int(settings.per_target),
        &capabilities.unavailable,
        &channels(),
        &paces,
        capabilities.lease.as_secs_f64(),
        settings.worker_id,
        capabilities.email_transport,
        capabilities.email_lease.as_secs_f64(),
        &capabilities.routes,
    )
    .fetch_all(Unnamed(connection))
    .await
}

/// Reclaims expired leases: requeues their deliveries, or holds those for a person that must not be sent
/// twice.
pub(super) async fn rescue(
    connection: &mut Transaction<'_>,
    retry_policy: &RetryPolicy,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let attempts = Channel::ALL.map(|channel| int(retry_policy.schedule(channel).attempts()));
    let held = Channel::ALL.map(|channel| retry_policy.hold_uncertain.contains(&channel));
    loop {
        let taken = sqlx::query_file!(
            "src/delivery/rescue.sql",
            RESCUED_AT_ONCE,
            &channels(),
            &attempts,
            &held,
        )
        .fetch_all(Unnamed(connection))
        .await?;
        for row in &taken {
            if let Some(next) = Next::ended(row.status) {
                let messages = row.messages.unsigned_abs();
                report.count(row.channel, &row.event_type, next, messages);
            }
        }
        let count: i64 = taken.iter().map(|row| row.messages).sum();
        report.rescued += count.unsigned_abs();
        if count < RESCUED_AT_ONCE {
            return Ok(());
        }
    }
}
