//! Deliveries that cannot be sent now, and why: no transport, a paused target, expired.

use std::collections::{BTreeMap, BTreeSet};

use super::lease::{Capabilities, channels};
use super::report::{DeliveryReport, Left, Paused, Waiting};
use super::retry_policy::Next;
use super::{DeliverySettings, EMAIL, SMS};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// Deliveries that expire in one statement.
const EXPIRED_AT_ONCE: i64 = 1_000;
/// Paused targets in a report.
const PAUSED_MOST: i64 = 10;

/// Expires old deliveries that this process cannot send, and warns of missing routes and of channels of a
/// newer version.
pub(super) async fn expire(
    transaction: &mut Transaction<'_>,
    settings: &DeliverySettings,
    capabilities: &Capabilities,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let (mut missing, mut unknown) = (BTreeMap::new(), BTreeSet::new());
    loop {
        let rows = sqlx::query_file!(
            "src/delivery/expire.sql",
            settings.max_age.as_secs_f64(),
            &capabilities.unavailable,
            &capabilities.routes,
            EXPIRED_AT_ONCE,
            &channels(),
        )
        .fetch_all(Unnamed(transaction))
        .await?;
        let expired: i64 = rows.iter().map(|row| row.expired).sum();
        for row in rows {
            if let (Some(channel), Some(event_type)) = (row.channel, row.event_type) {
                let expired = row.expired.unsigned_abs();
                report.count(channel, &event_type, Next::Dead, expired);
            }
            if row.is_route {
                missing.entry(row.target).or_insert(row.queued);
            }
            unknown.extend(row.unknown);
        }
        if expired < EXPIRED_AT_ONCE {
            break;
        }
    }
    for (route, messages) in missing {
        tracing::warn!(
            messages,
            "the environment has no route {route} here; its deliveries expire after NOTIFY_DELIVERY_MAX_AGE"
        );
    }
    for channel in unknown {
        tracing::warn!(
            "this version does not know the channel {channel}; its deliveries wait for a version that does"
        );
    }
    if report.dead > 0 {
        tracing::warn!(
            deliveries = report.dead,
            "became dead letters: their worker died, or they waited for longer than NOTIFY_DELIVERY_MAX_AGE"
        );
    }
    Ok(())
}

/// Counts what is due as the run ends.
pub(super) async fn left(
    transaction: &mut Transaction<'_>,
    settings: &DeliverySettings,
    capabilities: &Capabilities,
) -> Result<Left, sqlx::Error> {
    let window = settings.digest_every.as_secs_f64();
    let found = sqlx::query_file!("src/delivery/left.sql", window, &capabilities.unavailable)
        .fetch_one(Unnamed(transaction))
        .await?;
    Ok(Left {
        mails: found.mails.unsigned_abs(),
        deliveries: found.deliveries.unsigned_abs(),
    })
}

/// What waits for a transport.
pub(super) async fn waiting(
    transaction: &mut Transaction<'_>,
    capabilities: &Capabilities,
) -> Result<Waiting, sqlx::Error> {
    let lacks = |target: &str| capabilities.unavailable.iter().any(|one| one == target);
    if capabilities.unavailable.is_empty() {
        return Ok(Waiting::default());
    }
    let found = sqlx::query_file!("src/delivery/waiting.sql")
        .fetch_one(Unnamed(transaction))
        .await?;
    let count = |is_lacking: bool, found: i64| if is_lacking { found.unsigned_abs() } else { 0 };
    Ok(Waiting {
        mails: count(lacks(EMAIL), found.mails),
        texts: count(lacks(SMS), found.texts),
    })
}

/// The paused targets with the most due deliveries.
pub(super) async fn paused(
    transaction: &mut Transaction<'_>,
    capabilities: &Capabilities,
) -> Result<Vec<Paused>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/delivery/paused.sql",
        &capabilities.unavailable,
        PAUSED_MOST
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let paused = rows.into_iter().map(|row| Paused {
        name: row.name,
        seconds: row.seconds,
        reason: row.last_error,
        messages: row.messages.unsigned_abs(),
    });
    Ok(paused.collect())
}

/// Seconds until the first paused target with due deliveries opens.
pub(super) async fn next_opening(
    transaction: &mut Transaction<'_>,
    capabilities: &Capabilities,
) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_file_scalar!("src/delivery/next_opening.sql", &capabilities.unavailable)
        .fetch_one(Unnamed(transaction))
        .await
}
