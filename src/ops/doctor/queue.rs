//! Whether events get into the queue.

use std::time::Duration;

use super::{Check, Findings};
use crate::db::{Transaction, Unnamed};

/// Pruning is left out for this long before it is a finding: it may be scheduled once a week.
const UNPRUNED: Duration = Duration::from_hours(8 * 24);
/// So many old rows are worth pruning.
const MUCH: i64 = 10_000;

/// The trigger that enqueues them.
pub(super) async fn trigger(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "trigger";
    let found = sqlx::query_file!("src/ops/doctor/trigger.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(vec![match found {
        None => Check::problem(
            NAME,
            "domain_events has no trigger notify_fan_out_enqueue: new events are not seen",
            "notify-fan-out migrate makes it, and enqueues the events in between",
        ),
        Some(row) if !row.fires => Check::problem(
            NAME,
            "notify_fan_out_enqueue is disabled: new events are not seen",
            "ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue; then notify-fan-out \
             migrate, for the events in between",
        ),
        Some(row) if !row.may_insert => Check::problem(
            NAME,
            "the owner of its function may not insert into notification_processing: the application's inserts fail",
            "GRANT INSERT ON notification_processing to the owner of notify_fan_out_enqueue()",
        ),
        Some(_) => Check::ok(NAME, "there and enabled"),
    }])
}

/// Events that it did not catch.
pub(super) async fn unqueued(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "queue";
    let row = sqlx::query_file!("src/ops/doctor/unqueued.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let Some(first) = row.first else {
        return Ok(vec![Check::ok(
            NAME,
            "each event of the last day is in it, or was",
        )]);
    };
    let found = format!(
        "{} events of the last day have no processing row, the first is {first}: they came by logical \
         replication, directly into a partition, with session_replication_role 'replica', or while the \
         trigger was off",
        row.events
    );
    Ok(vec![if row.are_swept {
        Check::warn(NAME, found, "the next notify-fan-out run enqueues them")
    } else {
        Check::problem(NAME, found, "enqueue them: notify-fan-out migrate")
    }])
}

/// Whether identifiers began anew.
pub(super) async fn identifiers(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "identifiers";
    let newest = sqlx::query_file_scalar!("src/ops/doctor/identifiers.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(newest
        .map(|id| {
            Check::warn(
                NAME,
                format!("earlier events had the identifiers of today's events, up to {id} and higher"),
                "nothing is lost: what was queued or pruned before an event occurred is not its own; \
                 but TRUNCATE domain_events without RESTART IDENTITY",
            )
        })
        .into_iter()
        .collect())
}

/// Whether what is due is claimed.
pub(super) async fn overdue(connection: &mut Transaction<'_>, after: Duration) -> Findings {
    const NAME: &str = "due";
    let (overdue, oldest, idle): (i64, Option<f64>, Option<f64>) =
        sqlx::query_as(include_str!("overdue.sql"))
            .bind(after.as_secs_f64())
            .fetch_one(Unnamed(connection))
            .await?;
    let limit = age(after);
    let time = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let Some(oldest) = oldest else {
        let found = format!("no event has been due for more than {limit}");
        return Ok(vec![Check::ok(NAME, found)]);
    };
    let (why, advice) = match idle.map(time) {
        None => (
            "nothing shows that a run ever claimed one".to_owned(),
            "start it: notify-fan-out run; schedule it: scripts/install-cron.sh",
        ),
        Some(idle) if idle < after => (
            "runs claim events and don't keep up".to_owned(),
            "a longer NOTIFY_FANOUT_MAX_RUNTIME or a second machine; notify-fan-out status shows the throughput",
        ),
        Some(idle) => (
            format!("the last run that claimed any was {} ago", age(idle)),
            "does cron or the timer start notify-fan-out run? Its log says how it ended",
        ),
    };
    let oldest = age(time(oldest));
    let found =
        format!("events due for more than {limit}: {overdue}, the oldest for {oldest}; {why}");
    Ok(vec![Check::problem(NAME, found, advice)])
}

/// Whether old rows are deleted.
pub(super) async fn history(connection: &mut Transaction<'_>, older_than: Duration) -> Findings {
    const NAME: &str = "history";
    let old: i64 = sqlx::query_scalar(
        "SELECT count(*)
           FROM (SELECT FROM notification_processing
                  WHERE processing_status = 'completed' AND completed_at < now() - make_interval(secs => $1)
                  LIMIT $2) AS old",
    )
    .bind((older_than + UNPRUNED).as_secs_f64())
    .bind(MUCH)
    .fetch_one(Unnamed(connection))
    .await?;
    let older_than = age(older_than);
    Ok(vec![if old < MUCH {
        Check::ok(NAME, format!("little is older than {older_than}"))
    } else {
        Check::warn(
            NAME,
            format!("{MUCH} completed events or more are older than {older_than}: nothing prunes"),
            "schedule notify-fan-out prune once a day, as scripts/install-cron.sh does; \
             NOTIFY_PRUNE_OLDER_THAN=off if all is to be kept",
        )
    }])
}

fn age(time: Duration) -> String {
    let (unit, name) = match time.as_secs() {
        172_800.. => (86_400, "d"),
        7_200.. => (3_600, "h"),
        120.. => (60, "m"),
        _ => (1, "s"),
    };
    format!("{}{name}", time.as_secs() / unit)
}
