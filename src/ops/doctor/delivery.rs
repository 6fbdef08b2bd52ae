//! Checks that deliveries are sent.

use super::{Finding, Findings, listed};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};

/// What waits for longer, in seconds, is not being sent at all.
const LONG: f64 = 7_200.0;
/// E-mails wait no longer than this, in seconds, for a digest.
const LONGEST_WINDOW: f64 = 86_400.0;
/// What fails for longer, in seconds, needs an operator.
const LONG_FAILURE: f64 = 86_400.0;
/// A lease that expired longer ago than this, in seconds, is not being reclaimed.
const LONG_EXPIRED: f64 = 600.0;

/// Whether waiting deliveries are leased.
pub(super) async fn waiting(connection: &mut Transaction<'_>) -> Findings {
    let row = sqlx::query_file!("src/ops/doctor/waiting.sql", LONG, LONGEST_WINDOW)
        .fetch_one(Unnamed(connection))
        .await?;
    let waiting: Vec<_> = [
        (row.immediate, "immediate e-mails for more than 2 hours"),
        (row.aggregated, "e-mails for a digest for more than a day"),
        (row.deliveries, "deliveries for more than 2 hours"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{what} ({count})"))
    .collect();
    Ok(vec![if waiting.is_empty() {
        Finding::ok("nothing has waited for long")
    } else {
        Finding::warn(
            format!("waiting: {}", waiting.join(", ")),
            "check that cron starts notify-fan-out deliver and that the channel has a transport: see its \
             log and notify-fan-out status",
        )
    }])
}

/// Whether expired leases are reclaimed.
pub(super) async fn leases(connection: &mut Transaction<'_>) -> Findings {
    let expired = sqlx::query!(
        r#"SELECT count(*) AS "count!", (extract(epoch FROM now() - min(lease_until)) / 60)::float8 AS minutes
             FROM notification_deliveries
            WHERE status = 'sending' AND lease_until < now() - make_interval(secs => $1)"#,
        LONG_EXPIRED
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(vec![match expired.minutes {
        None => Finding::ok("no expired lease"),
        Some(minutes) => Finding::warn(
            format!(
                "expired leases of senders that died: {}, the oldest for {minutes:.0} min",
                expired.count
            ),
            "the next notify-fan-out deliver reclaims them: check that cron starts it",
        ),
    }])
}

/// Whether any dead letter waits for a decision.
pub(super) async fn dead_letters(connection: &mut Transaction<'_>) -> Findings {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE status = 'dead') AS "dead!",
                  count(*) FILTER (WHERE status = 'uncertain') AS "uncertain!"
             FROM notification_deliveries WHERE status IN ('dead', 'uncertain')"#
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let (dead, uncertain) = (row.dead, row.uncertain);
    Ok(vec![if dead + uncertain == 0 {
        Finding::ok("none")
    } else {
        Finding::warn(
            format!("failed for good: {dead}; may have arrived or not: {uncertain}"),
            "see which and why, then retry or discard them: notify-fan-out dead-letters list",
        )
    }])
}

/// Whether any endpoint is disabled, or has failed for long.
pub(super) async fn endpoints(connection: &mut Transaction<'_>) -> Findings {
    let accounts = Channel::ALL
        .into_iter()
        .filter(|channel| channel.is_shared());
    let accounts: Vec<_> = accounts.map(|channel| channel.name().to_owned()).collect();
    let rows = sqlx::query_file!("src/ops/doctor/endpoints.sql", LONG_FAILURE, &accounts)
        .fetch_all(Unnamed(connection))
        .await?;
    let named = |is_disabled| -> Vec<_> {
        let named = rows.iter().filter(|row| row.is_disabled == is_disabled);
        named
            .map(|row| format!("{}: {}", row.name, row.why))
            .collect()
    };
    let (disabled, failing) = (named(true), named(false));
    let mut checks = Vec::new();
    if !disabled.is_empty() {
        checks.push(Finding::warn(
            format!("disabled: {}", listed(disabled, "; ")),
            "their deliveries are not sent; once fixed: notify-fan-out endpoint enable NAME",
        ));
    }
    if !failing.is_empty() {
        checks.push(Finding::warn(
            format!("failing for more than a day: {}", listed(failing, "; ")),
            "fix them before their deliveries become dead letters: notify-fan-out status",
        ));
    }
    if checks.is_empty() {
        checks.push(Finding::ok("none is disabled or has failed for long"));
    }
    Ok(checks)
}
