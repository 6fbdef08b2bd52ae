//! The metrics of `run`.

use super::registry::{Kind, Metric, Registry};
use crate::db::{Transaction, Unnamed};
use crate::domain::latency;
use crate::fan_out::FanOutReport;

metrics! {
    RUNS: Counter, "runs_total", ["result"], "Runs of the job.";
    EVENTS: Counter, "events_total", ["outcome"], "Events settled, by outcome.";
    NOTIFICATIONS: Counter, "notifications_total", [], "Notifications created.";
    COALESCED: Counter, "notifications_merged_total", [], "Messages coalesced into a notification that was still unread.";
    EMAILS: Counter, "emails_total", [], "E-mails queued.";
    SUPPRESSED: Counter, "suppressed_total", [], "Recipients skipped: muted, without access, or notified before.";
    RESCUED: Counter, "rescued_total", [], "Claims taken over from workers that were gone.";
    BACKLOG: Gauge, "backlog_events", [], "Events that are pending.";
    OLDEST: Gauge, "backlog_oldest_age_seconds", [], "Age of the oldest pending event.";
    FAILED: Gauge, "failed_events", [], "Events that failed and wait for a person.";
    LAST_DURATION: Gauge, "last_run_duration_seconds", [], "Duration of the last run.";
    LAST_SUCCESS: Gauge, "last_success_timestamp_seconds", [], "When a run last succeeded, in seconds since 1970.";
    LATENCY: Histogram(&latency::BOUNDS), "event_latency_seconds", [], "From an event's occurrence to its completion.";
}

/// What waits at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backlog {
    /// Events that are pending, due or not.
    events: f64,
    /// Age of the oldest of them, in seconds; 0 if there is none.
    oldest_age: f64,
    failed: f64,
    /// The database's clock, in seconds since 1970.
    now: f64,
}

pub(super) async fn backlog(transaction: &mut Transaction<'_>) -> Result<Backlog, sqlx::Error> {
    sqlx::query_file_as!(Backlog, "src/metrics/backlog.sql")
        .fetch_one(Unnamed(transaction))
        .await
}

pub(super) fn add_run(
    registry: &mut Registry,
    report: &FanOutReport,
    seconds: f64,
    succeeded: bool,
) {
    registry.add(&RUNS, &["success"], succeeded.into());
    registry.add(&RUNS, &["failure"], (!succeeded).into());
    for (outcome, count) in [
        ("completed", report.events),
        ("failed", report.failed),
        ("retried", report.retried),
        ("expired", report.expired),
        ("expired_unhandled", report.expired_unhandled_count()),
        ("ignored", report.ignored),
    ] {
        registry.add(&EVENTS, &[outcome], count);
    }
    registry.add(&NOTIFICATIONS, &[], report.notifications);
    registry.add(&COALESCED, &[], report.merged);
    registry.add(&EMAILS, &[], report.emails);
    registry.add(&SUPPRESSED, &[], report.suppressed);
    registry.add(&RESCUED, &[], report.rescued);
    registry.set(&LAST_DURATION, &[], seconds);
    registry.observe(
        &LATENCY,
        &[],
        &report.latencies.counts,
        report.latencies.sum,
    );
}

pub(super) fn set_backlog(registry: &mut Registry, backlog: &Backlog, succeeded: bool) {
    registry.set(&BACKLOG, &[], backlog.events);
    registry.set(&OLDEST, &[], backlog.oldest_age);
    registry.set(&FAILED, &[], backlog.failed);
    if succeeded {
        registry.set(&LAST_SUCCESS, &[], backlog.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::latency::Latencies;
    use proptest::prelude::*;

    fn report() -> FanOutReport {
        let mut latencies = Latencies::default();
        for seconds in [0.2, 59.0, 100_000.0] {
            latencies.observe(seconds);
        }
        FanOutReport {
            events: 3,
            notifications: 5,
            failed: 1,
            latencies,
            ..FanOutReport::default()
        }
    }

    #[test]
    fn counters_grow_from_run_to_run() {
        let mut first = Registry::from_text(METRICS, "");
        add_run(&mut first, &report(), 0.5, true);
        let backlog = Backlog {
            events: 2.0,
            oldest_age: 7.5,
            failed: 1.0,
            now: 1_700_000_000.0,
        };
        set_backlog(&mut first, &backlog, true);
        let text = first.to_text();
        let mut second = Registry::from_text(METRICS, &text);
        assert_eq!(second, first);
        add_run(&mut second, &report(), 0.25, false);
        insta::assert_snapshot!(second.to_text());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}|(notify_fan_out_[a-z_]{0,30}(\\{le=\"[0-9.]{1,3}\"\\})? [0-9eE+NaInf.-]{1,8}\n){0,5}") {
            let mut registry = Registry::from_text(METRICS, &text);
            add_run(&mut registry, &report(), 0.5, true);
            prop_assert!(registry.to_text().lines().count() > 30);
        }
    }
}
