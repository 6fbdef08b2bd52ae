//! Checks that events are queued, claimed and pruned.

use std::time::Duration;

use super::{Finding, Findings};
use crate::db::{Transaction, Unnamed};

/// Pruning may be late by this: it may be scheduled once a week.
const UNPRUNED: Duration = Duration::from_hours(8 * 24);
/// So many old rows are worth pruning.
const MUCH: i64 = 10_000;

/// The trigger that enqueues them.
pub(super) async fn trigger(connection: &mut Transaction<'_>) -> Findings {
    let found = sqlx::query_file!("src/ops/doctor/trigger.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    Ok(vec![match found {
        None => Finding::problem(
            "domain_events has no trigger notify_fan_out_enqueue: new events are not seen",
            "notify-fan-out migrate creates it, and enqueues the events in between",
        ),
        Some(row) if !row.fires => Finding::problem(
            "notify_fan_out_enqueue is disabled: new events are not seen",
            "ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue; then notify-fan-out \
             migrate, for the events in between",
        ),
        Some(row) if !row.may_insert => Finding::problem(
            "the owner of its function may not insert into notification_processing: the application's inserts fail",
            "GRANT INSERT ON notification_processing to the owner of notify_fan_out_enqueue()",
        ),
        Some(_) => Finding::ok("exists and is enabled"),
    }])
}

/// Events that the trigger missed.
pub(super) async fn unqueued(connection: &mut Transaction<'_>) -> Findings {
    let row = sqlx::query_file!("src/ops/doctor/unqueued.sql")
        .fetch_one(Unnamed(connection))
        .await?;
    let Some(first) = row.first else {
        let found = "each event of the last day has, or had, a processing row";
        return Ok(vec![Finding::ok(found)]);
    };
    let found = format!(
        "{} events of the last day have no processing row, the first is {first}: they arrived by logical \
         replication, directly into a partition, with session_replication_role 'replica', or while the \
         trigger was off",
        row.events
    );
    Ok(vec![if row.are_swept {
        Finding::warn(found, "the next notify-fan-out run enqueues them")
    } else {
        Finding::problem(found, "enqueue them: notify-fan-out migrate")
    }])
}

/// Whether identifiers are reused.
pub(super) async fn identifiers(connection: &mut Transaction<'_>) -> Findings {
    let newest = sqlx::query_file_scalar!("src/ops/doctor/identifiers.sql")
        .fetch_optional(Unnamed(connection))
        .await?;
    let reused = newest.map(|id| {
        Finding::warn(
            format!("identifiers are reused: earlier events had {id} and higher"),
            "nothing is lost: rows older than an event are not taken for its own; but use \
             TRUNCATE domain_events without RESTART IDENTITY",
        )
    });
    Ok(reused.into_iter().collect())
}

/// Whether what is due is claimed.
pub(super) async fn overdue(connection: &mut Transaction<'_>, after: Duration) -> Findings {
    // `idle`: how long ago an event was last claimed or completed.
    let row = sqlx::query!(
        r#"SELECT count(*) AS "count!", extract(epoch FROM now() - min(next_attempt_at))::float8 AS oldest,
                  extract(epoch FROM now() - greatest(
                      (SELECT max(claimed_at) FROM notification_processing WHERE processing_status = 'processing'),
                      (SELECT max(completed_at) FROM notification_processing WHERE processing_status = 'completed')
                  ))::float8 AS idle
             FROM notification_processing
            WHERE processing_status = 'pending' AND next_attempt_at < now() - make_interval(secs => $1)"#,
        after.as_secs_f64()
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let time = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let limit = age(after);
    let Some(oldest) = row.oldest.map(time).map(age) else {
        let found = format!("no event has been due for more than {limit}");
        return Ok(vec![Finding::ok(found)]);
    };
    let (why, advice) = match row.idle.map(time) {
        None => (
            "no run has ever claimed one".to_owned(),
            "start it: notify-fan-out run; schedule it: scripts/install-cron.sh",
        ),
        Some(idle) if idle < after => (
            "runs claim events but do not keep up".to_owned(),
            "a longer NOTIFY_FANOUT_MAX_RUNTIME or a second machine; notify-fan-out status shows the throughput",
        ),
        Some(idle) => (
            format!("the last run that claimed any was {} ago", age(idle)),
            "check that cron or the timer starts notify-fan-out run; its log says how it ended",
        ),
    };
    let count = row.count;
    let found =
        format!("events due for more than {limit}: {count}, the oldest for {oldest}; {why}");
    Ok(vec![Finding::problem(found, advice)])
}

/// Whether old rows are deleted.
pub(super) async fn history(connection: &mut Transaction<'_>, older_than: Duration) -> Findings {
    let old = sqlx::query_scalar!(
        r#"SELECT count(*) AS "old!"
             FROM (SELECT FROM notification_processing
                    WHERE processing_status = 'completed' AND completed_at < now() - make_interval(secs => $1)
                    LIMIT $2) AS old"#,
        (older_than + UNPRUNED).as_secs_f64(),
        MUCH
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let older_than = age(older_than);
    Ok(vec![if old < MUCH {
        Finding::ok(format!("little is older than {older_than}"))
    } else {
        Finding::warn(
            format!(
                "{MUCH} completed events or more are older than {older_than}: prune does not run"
            ),
            "schedule notify-fan-out prune once a day, as scripts/install-cron.sh does; \
             or keep all: NOTIFY_PRUNE_OLDER_THAN=off",
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
