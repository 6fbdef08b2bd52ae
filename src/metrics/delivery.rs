//! The metrics of `deliver`.

use super::registry::{Kind, Metric, Registry};
use crate::channels::Channel;
use crate::db::{Transaction, Unnamed};
use crate::delivery::DeliveryCounts;
use crate::handlers::EventType;
use crate::templates::DIGEST;

/// Upper bounds of what an attempt takes, in seconds.
const DURATION_BOUNDS: [f64; 12] = [
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0,
];

metrics! {
    DELIVERIES: Counter, "deliveries_total", ["channel", "event_type", "status"], "Deliveries that ended, by how.";
    RETRIES: Counter, "delivery_retries_total", ["channel"], "Deliveries requeued for another attempt.";
    RUNS: Counter, "delivery_runs_total", ["result"], "Runs of deliver.";
    DEPTH: Gauge, "delivery_queue_depth", ["channel"], "Deliveries that are pending or in flight, and immediate e-mails about to be.";
    OLDEST: Gauge, "delivery_oldest_due_age_seconds", ["channel"], "For how long the oldest due delivery has been due.";
    DEAD: Gauge, "dead_letters", ["channel", "status"], "Deliveries that wait for a person: dead, or uncertain.";
    LAST_DURATION: Gauge, "delivery_last_run_duration_seconds", [], "Duration of the last run of deliver.";
    LAST_SUCCESS: Gauge, "delivery_last_success_timestamp_seconds", [], "When a run of deliver last succeeded, in seconds since 1970.";
    DURATION: Histogram(&DURATION_BOUNDS), "delivery_duration_seconds", ["channel"], "What an attempt takes.";
}

/// What waits on one channel at one moment.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    channel: String,
    /// Deliveries that are pending or in flight, and e-mails about to be.
    depth: f64,
    /// For how long the first of them has been due, in seconds; 0 if none is.
    oldest_due_age: f64,
    dead: f64,
    uncertain: f64,
    /// The database's clock, in seconds since 1970.
    now: f64,
}

pub(super) async fn queue(transaction: &mut Transaction<'_>) -> Result<Vec<Waiting>, sqlx::Error> {
    let names = Channel::ALL.map(|channel| channel.name().to_owned());
    sqlx::query_file_as!(Waiting, "src/metrics/queue.sql", &names)
        .fetch_all(Unnamed(transaction))
        .await
}

/// Adds a run of `seconds`. What has few labels is there from the first run on, so that its rates are.
pub(super) fn add_run(
    registry: &mut Registry,
    counts: &DeliveryCounts,
    seconds: f64,
    succeeded: bool,
) {
    registry.add(&RUNS, &["success"], succeeded.into());
    registry.add(&RUNS, &["failure"], (!succeeded).into());
    for ((channel, event_type, status), count) in &counts.outcomes {
        registry.add(
            &DELIVERIES,
            &[channel.name(), series(event_type), status],
            *count,
        );
    }
    for channel in Channel::ALL {
        let retries = counts.retries.get(&channel).copied().unwrap_or_default();
        registry.add(&RETRIES, &[channel.name()], retries);
        registry.observe(&DURATION, &[channel.name()], &[], 0.0);
    }
    for (channel, seconds) in &counts.durations {
        let mut observed = [0; DURATION_BOUNDS.len() + 1];
        observed[DURATION_BOUNDS.partition_point(|bound| bound < seconds)] = 1;
        registry.observe(&DURATION, &[channel.name()], &observed, *seconds);
    }
    registry.set(&LAST_DURATION, &[], seconds);
}

pub(super) fn set_queue(registry: &mut Registry, queue: &[Waiting], succeeded: bool) {
    for waiting in queue {
        let channel = waiting.channel.as_str();
        registry.set(&DEPTH, &[channel], waiting.depth);
        registry.set(&OLDEST, &[channel], waiting.oldest_due_age);
        registry.set(&DEAD, &[channel, "dead"], waiting.dead);
        registry.set(&DEAD, &[channel, "uncertain"], waiting.uncertain);
        if succeeded {
            registry.set(&LAST_SUCCESS, &[], waiting.now);
        }
    }
}

/// The type's own name only where it is one of a closed set: each becomes a series.
fn series(event_type: &str) -> &'static str {
    match EventType::from_name(event_type) {
        Some(known) => known.name(),
        None if event_type == DIGEST => DIGEST,
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Channel::{Email, Sms, Webhook};

    fn counts() -> DeliveryCounts {
        let outcome = |kind, event_type: &str, status| (kind, event_type.to_owned(), status);
        DeliveryCounts {
            outcomes: [
                (outcome(Email, "document_uploaded", "delivered"), 3),
                (outcome(Email, "digest", "delivered"), 2),
                (outcome(Webhook, "made_up_1", "dead"), 1),
                (outcome(Webhook, "made_up_2", "dead"), 4),
            ]
            .into(),
            durations: vec![(Email, 0.2), (Email, 0.05), (Sms, 90.0)],
            retries: [(Webhook, 7)].into(),
        }
    }

    fn waiting(kind: Channel, depth: f64) -> Waiting {
        Waiting {
            channel: kind.name().to_owned(),
            depth,
            oldest_due_age: depth * 1.5,
            dead: 5.0,
            uncertain: 0.0,
            now: 1_700_000_000.0,
        }
    }

    #[test]
    fn counters_grow_from_run_to_run() {
        let mut first = Registry::from_text(METRICS, "");
        add_run(&mut first, &counts(), 1.5, true);
        set_queue(&mut first, &[waiting(Email, 12.0), waiting(Sms, 0.0)], true);
        let text = first.to_text();
        let mut second = Registry::from_text(METRICS, &text);
        assert_eq!(second, first);
        add_run(&mut second, &counts(), 0.25, false);
        let text = second.to_text();
        let lines = text
            .lines()
            .filter(|line| !line.contains("le=") || line.contains("email"));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    /// An earlier version may have had fewer.
    #[test]
    fn a_new_bucket_counts_no_less_than_the_one_before_it() {
        let mut registry = Registry::from_text(METRICS, "");
        add_run(&mut registry, &counts(), 1.5, true);
        let text = registry.to_text();
        let earlier: Vec<_> = text
            .lines()
            .filter(|line| !line.contains(r#"le="1""#))
            .collect();
        assert!(earlier.len() < text.lines().count());
        assert_eq!(Registry::from_text(METRICS, &earlier.join("\n")), registry);
    }
}
