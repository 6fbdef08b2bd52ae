//! Checks that deliveries are sent.

use super::{Finding, Findings};
use crate::db::{Transaction, Unnamed};

/// What waits for longer, in seconds, is not being sent at all.
const LONG: f64 = 7_200.0;
/// E-mails wait no longer than this, in seconds, for a digest.
const LONGEST_WINDOW: f64 = 86_400.0;
/// What fails for longer, in seconds, needs an operator.
const LONG_FAILURE: f64 = 86_400.0;
/// A lease that expired longer ago than this, in seconds, is not being reclaimed.
const LONG_EXPIRED: f64 = 600.0;
/// Endpoints that are named.
const MOST_NAMED: usize = 10;

/// Whether waiting deliveries are leased.
pub(super) async fn waiting(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "outgoing";
    let (immediate, aggregated, deliveries): (i64, i64, i64) =
        sqlx::query_as(include_str!("waiting.sql"))
            .bind(LONG)
            .bind(LONGEST_WINDOW)
            .fetch_one(Unnamed(connection))
            .await?;
    let mut found = Vec::new();
    for (number, what) in [
        (immediate, "immediate e-mails for more than 2 hours"),
        (aggregated, "e-mails for a digest for more than a day"),
        (deliveries, "deliveries for more than 2 hours"),
    ] {
        if number > 0 {
            found.push(format!("{what} ({number})"));
        }
    }
    if found.is_empty() {
        return Ok(vec![Finding::ok(NAME, "nothing has waited for long")]);
    }
    Ok(vec![Finding::warn(
        NAME,
        format!("waiting: {}", found.join(", ")),
        "check that cron starts notify-fan-out deliver and that the channel has a transport: see its log \
         and notify-fan-out status",
    )])
}

/// Whether expired leases are reclaimed.
pub(super) async fn leases(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "leases";
    let (expired, minutes): (i64, Option<f64>) = sqlx::query_as(
        "SELECT count(*), (extract(epoch FROM now() - min(lease_until)) / 60)::float8
           FROM notification_deliveries
          WHERE status = 'sending' AND lease_until < now() - make_interval(secs => $1)",
    )
    .bind(LONG_EXPIRED)
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(vec![if expired == 0 {
        Finding::ok(NAME, "no expired lease")
    } else {
        Finding::warn(
            NAME,
            format!(
                "expired leases of senders that died: {expired}, the oldest for {:.0} min",
                minutes.unwrap_or_default()
            ),
            "the next notify-fan-out deliver reclaims them: check that cron starts it",
        )
    }])
}

/// Whether any dead letter waits for a decision.
pub(super) async fn dead_letters(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "dead letters";
    let (dead, uncertain): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE status = 'dead'), count(*) FILTER (WHERE status = 'uncertain')
           FROM notification_deliveries WHERE status IN ('dead', 'uncertain')",
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(vec![if dead + uncertain == 0 {
        Finding::ok(NAME, "none")
    } else {
        Finding::warn(
            NAME,
            format!("failed for good: {dead}; may have arrived or not: {uncertain}"),
            "see which and why, then retry or discard them: notify-fan-out dead-letters list",
        )
    }])
}

/// Whether any endpoint is disabled, or has failed for long.
pub(super) async fn endpoints(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "endpoints";
    let rows: Vec<(String, bool, String)> = sqlx::query_as(include_str!("endpoints.sql"))
        .bind(LONG_FAILURE)
        .fetch_all(Unnamed(connection))
        .await?;
    let mut checks = Vec::new();
    for (is_disabled, what, advice) in [
        (
            true,
            "disabled",
            "their deliveries are not sent; once fixed: notify-fan-out endpoint enable NAME",
        ),
        (
            false,
            "failing for more than a day",
            "fix them before their deliveries become dead letters: notify-fan-out status",
        ),
    ] {
        let mut named: Vec<_> = rows
            .iter()
            .filter(|(_, disabled, _)| *disabled == is_disabled)
            .map(|(name, _, why)| format!("{name}: {why}"))
            .collect();
        if named.is_empty() {
            continue;
        }
        let hidden = named.len().saturating_sub(MOST_NAMED);
        named.truncate(MOST_NAMED);
        if hidden > 0 {
            named.push(format!("and {hidden} more"));
        }
        let found = format!("{what}: {}", named.join("; "));
        checks.push(Finding::warn(NAME, found, advice));
    }
    if checks.is_empty() {
        checks.push(Finding::ok(NAME, "none is disabled or has failed for long"));
    }
    Ok(checks)
}
