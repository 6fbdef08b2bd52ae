//! Deliveries that cannot be sent now, and why: no transport, a paused target, expired.

use std::collections::BTreeMap;

use super::lease::Capabilities;
use super::report::{DeliveryReport, Left, Paused, Waiting};
use super::retry_policy::Next;
use super::{DeliverySettings, EMAIL, SMS};
use crate::db::{Transaction, Unnamed};

/// Deliveries that expire in one statement.
const EXPIRED_AT_ONCE: i64 = 1_000;

/// Expires old deliveries that this process cannot send, and warns of missing routes.
pub(super) async fn expire(
    transaction: &mut Transaction<'_>,
    settings: &DeliverySettings,
    capabilities: &Capabilities,
    report: &mut DeliveryReport,
) -> Result<(), sqlx::Error> {
    let mut missing = BTreeMap::new();
    loop {
        let rows = sqlx::query_file!(
            "src/delivery/expire.sql",
            settings.max_age.as_secs_f64(),
            &capabilities.unavailable,
            &capabilities.routes,
            EXPIRED_AT_ONCE,
        )
        .fetch_all(Unnamed(transaction))
        .await?;
        for row in &rows {
            if let (Some(channel), Some(event_type)) = (&row.channel, &row.event_type)
                && let Ok(channel) = channel.parse()
            {
                let expired = row.expired.unsigned_abs();
                report.count(channel, event_type, Next::Dead, expired);
            }
            if row.is_route {
                missing.entry(row.target.clone()).or_insert(row.queued);
            }
        }
        if rows.iter().map(|row| row.expired).sum::<i64>() < EXPIRED_AT_ONCE {
            break;
        }
    }
    for (route, messages) in missing {
        tracing::warn!(
            messages,
            "the environment has no route {route} here; its deliveries expire after NOTIFY_DELIVERY_MAX_AGE"
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

/// What waits for a transport, and what waits for a paused target.
pub(super) async fn look(
    transaction: &mut Transaction<'_>,
    capabilities: &Capabilities,
) -> Result<(Waiting, Vec<Paused>), sqlx::Error> {
    let unavailable = &capabilities.unavailable;
    let is_unavailable = |target: &str| unavailable.iter().any(|name| name == target);
    let mut waiting = Waiting::default();
    if !unavailable.is_empty() {
        let found = sqlx::query_file!("src/delivery/waiting.sql")
            .fetch_one(Unnamed(&mut *transaction))
            .await?;
        if is_unavailable(EMAIL) {
            waiting.mails = (found.mails + found.deliveries).unsigned_abs();
        }
        if is_unavailable(SMS) {
            waiting.texts = found.texts.unsigned_abs();
        }
    }
    let paused = sqlx::query_file!("src/delivery/paused.sql", unavailable)
        .fetch_all(Unnamed(transaction))
        .await?;
    let paused = paused.into_iter().map(|row| Paused {
        name: row.name,
        seconds: row.seconds,
        reason: row.last_error,
        messages: row.messages.unsigned_abs(),
    });
    Ok((waiting, paused.collect()))
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
