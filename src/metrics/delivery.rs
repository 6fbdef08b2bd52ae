//! The metrics of `deliver` as values: read from text, added to, written as text.

use std::collections::BTreeMap;

use prometheus::proto::MetricType;
use prometheus_parse::{Labels, Scrape, Value};

use super::encode::{counter, family, float, gauge, labels};
use super::histogram::Histogram;
use super::queue::Waiting;
use crate::delivery::DeliveryCounts;
use crate::domain::channel::Kind;
use crate::handlers::EventType;

/// A metric's name and its labels' values.
type Key = (&'static str, Vec<&'static str>);

/// How a delivery can end.
const STATUSES: [&str; 4] = ["delivered", "dead", "uncertain", "cancelled"];
/// What stands for every event type that has no handler, and for any status that is none.
const OTHER: &str = "other";
const DIGEST: &str = "digest";

/// Upper bounds of what an attempt takes, in seconds.
const DURATION_BOUNDS: [f64; 12] = [
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0,
];
const DURATION: &str = "notification_delivery_duration_seconds";
const DURATION_HELP: &str = "What an attempt takes.";
const DELIVERED: &str = "notifications_delivered_total";
const RETRIES: &str = "notification_retries_total";
const RUNS: &str = "notification_delivery_runs_total";
const DEPTH: &str = "notification_delivery_queue_depth";
const OLDEST: &str = "notification_delivery_oldest_due_age_seconds";
const DEAD: &str = "notification_dead_letters";
const LAST_DURATION: &str = "notification_delivery_last_run_duration_seconds";
const LAST_SUCCESS: &str = "notification_delivery_last_success_timestamp_seconds";

/// Every counter and gauge: name, kind, labels, help.
const FAMILIES: &[(&str, MetricType, &[&str], &str)] = &[
    (
        DELIVERED,
        MetricType::COUNTER,
        &["channel", "event_type", "status"],
        "Deliveries that ended, by how.",
    ),
    (
        RETRIES,
        MetricType::COUNTER,
        &["channel"],
        "Deliveries put back for another attempt.",
    ),
    (RUNS, MetricType::COUNTER, &["result"], "Runs of deliver."),
    (
        DEPTH,
        MetricType::GAUGE,
        &["channel"],
        "Deliveries that are pending or being sent, and immediate mails that are about to be.",
    ),
    (
        OLDEST,
        MetricType::GAUGE,
        &["channel"],
        "For how long the first of what waits has been due.",
    ),
    (
        DEAD,
        MetricType::GAUGE,
        &["channel", "status"],
        "Deliveries that wait for a person: given up, or of uncertain outcome.",
    ),
    (
        LAST_DURATION,
        MetricType::GAUGE,
        &[],
        "Duration of the last run.",
    ),
    (
        LAST_SUCCESS,
        MetricType::GAUGE,
        &[],
        "When a run last succeeded, in seconds since 1970.",
    ),
];

/// All values of the file.
#[derive(Debug, PartialEq)]
pub(super) struct DeliveryTotals {
    values: BTreeMap<Key, f64>,
    durations: BTreeMap<Kind, Histogram>,
}

impl DeliveryTotals {
    /// Nothing yet; what has few labels is there from the start, so that its rates are.
    fn new() -> Self {
        let mut values = BTreeMap::new();
        for result in ["success", "failure"] {
            values.insert((RUNS, vec![result]), 0.0);
        }
        for kind in Kind::ALL {
            values.insert((RETRIES, vec![kind.name()]), 0.0);
        }
        let durations = Kind::ALL.map(|kind| (kind, Histogram::new(&DURATION_BOUNDS)));
        Self {
            values,
            durations: durations.into(),
        }
    }

    /// What an earlier run left. What is not understood counts as absent: a counter that starts
    /// anew is something Prometheus expects.
    pub(super) fn from_text(text: &str) -> Self {
        let mut totals = Self::new();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let Ok(scrape) = Scrape::parse(lines) else {
            return totals;
        };
        for sample in &scrape.samples {
            let channel = sample
                .labels
                .get("channel")
                .and_then(|name| name.parse().ok());
            let duration = channel.and_then(|kind: Kind| totals.durations.get_mut(&kind));
            match (&sample.value, duration) {
                (Value::Histogram(buckets), Some(histogram)) if sample.metric == DURATION => {
                    histogram.restore(buckets);
                }
                (
                    Value::Untyped(sum) | Value::Counter(sum) | Value::Gauge(sum),
                    Some(histogram),
                ) if sample.metric == format!("{DURATION}_sum") => {
                    histogram.restore_sum(*sum);
                }
                (Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value), _) => {
                    if let Some(key) = known(&sample.metric, &sample.labels)
                        && value.is_finite()
                    {
                        totals.values.insert(key, *value);
                    }
                }
                _ => {}
            }
        }
        totals
    }

    /// Counts a run.
    pub(super) fn add_run(&mut self, counts: &DeliveryCounts, seconds: f64, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        self.add((RUNS, vec![result]), 1);
        for ((kind, event_type, status), count) in &counts.outcomes {
            let labels = vec![kind.name(), folded_type(event_type), folded_status(status)];
            self.add((DELIVERED, labels), *count);
        }
        for (kind, count) in &counts.retries {
            self.add((RETRIES, vec![kind.name()]), *count);
        }
        for (kind, seconds) in &counts.durations {
            if let Some(histogram) = self.durations.get_mut(kind) {
                histogram.observe(*seconds);
            }
        }
        self.values.insert((LAST_DURATION, Vec::new()), seconds);
    }

    /// Sets the gauges.
    pub(super) fn set_queue(&mut self, queue: &[Waiting], succeeded: bool) {
        for waiting in queue {
            let Ok(kind) = waiting.channel.parse::<Kind>() else {
                continue;
            };
            let channel = kind.name();
            for (key, value) in [
                ((DEPTH, vec![channel]), waiting.depth),
                ((OLDEST, vec![channel]), waiting.oldest_due_age),
                ((DEAD, vec![channel, "dead"]), waiting.dead),
                ((DEAD, vec![channel, "uncertain"]), waiting.uncertain),
            ] {
                self.values.insert(key, value);
            }
            if succeeded {
                self.values.insert((LAST_SUCCESS, Vec::new()), waiting.now);
            }
        }
    }

    fn add(&mut self, key: Key, count: u64) {
        *self.values.entry(key).or_default() += float(count);
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> Result<String, prometheus::Error> {
        let mut families = Vec::new();
        for (name, kind, label_names, help) in FAMILIES {
            let of_name = self.values.iter().filter(|((known, _), _)| known == name);
            let metrics: Vec<_> = of_name
                .map(|((_, values), value)| {
                    let labels = labels(label_names, values);
                    match kind {
                        MetricType::COUNTER => counter(labels, *value),
                        _ => gauge(labels, *value),
                    }
                })
                .collect();
            if !metrics.is_empty() {
                families.push(family(name, help, *kind, metrics));
            }
        }
        let durations = self
            .durations
            .iter()
            .map(|(kind, histogram)| histogram.to_metric(labels(&["channel"], &[kind.name()])));
        families.push(family(
            DURATION,
            DURATION_HELP,
            MetricType::HISTOGRAM,
            durations.collect(),
        ));
        prometheus::TextEncoder::new().encode_to_string(&families)
    }
}

#[cfg(test)]
pub(super) fn descriptions() -> Vec<super::Description> {
    let duration = super::Description {
        name: DURATION,
        kind: MetricType::HISTOGRAM,
        labels: &["channel"],
        help: DURATION_HELP,
    };
    FAMILIES
        .iter()
        .map(|&(name, kind, labels, help)| super::Description {
            name,
            kind,
            labels,
            help,
        })
        .chain([duration])
        .collect()
}

/// Its own name only where it is one of a closed set: each becomes a series.
fn folded_type(event_type: &str) -> &'static str {
    match EventType::from_name(event_type) {
        Some(known) => known.name(),
        None if event_type == DIGEST => DIGEST,
        None => OTHER,
    }
}

fn folded_status(status: &str) -> &'static str {
    STATUSES
        .into_iter()
        .find(|known| *known == status)
        .unwrap_or(OTHER)
}

fn known(name: &str, labels: &Labels) -> Option<Key> {
    let (name, _, label_names, _) = FAMILIES.iter().find(|(known, ..)| *known == name)?;
    let values = label_names.iter().map(|label| {
        let value = labels.get(label)?;
        Some(match *label {
            "channel" => value.parse::<Kind>().ok()?.name(),
            "event_type" => folded_type(value),
            "result" => ["success", "failure"]
                .into_iter()
                .find(|known| *known == value)?,
            _ => folded_status(value),
        })
    });
    Some((name, values.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts() -> DeliveryCounts {
        let outcome = |kind, event_type: &str, status| (kind, event_type.to_owned(), status);
        DeliveryCounts {
            outcomes: [
                (outcome(Kind::Email, "document_uploaded", "delivered"), 3),
                (outcome(Kind::Email, "digest", "delivered"), 2),
                (outcome(Kind::Webhook, "made_up_1", "dead"), 1),
                (outcome(Kind::Webhook, "made_up_2", "dead"), 4),
            ]
            .into(),
            durations: vec![(Kind::Email, 0.2), (Kind::Email, 0.05), (Kind::Sms, 90.0)],
            retries: [(Kind::Webhook, 7)].into(),
        }
    }

    fn waiting(kind: Kind, depth: f64) -> Waiting {
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
    fn runs_add_up_in_the_file() {
        let mut first = DeliveryTotals::from_text("");
        first.add_run(&counts(), 1.5, true);
        first.set_queue(&[waiting(Kind::Email, 12.0), waiting(Kind::Sms, 0.0)], true);
        let text = first.to_text().expect("text");
        let mut second = DeliveryTotals::from_text(&text);
        assert_eq!(second, first);
        second.add_run(&counts(), 0.25, false);
        let text = second.to_text().expect("text");
        let lines = text.lines().filter(|line| {
            !line.starts_with('#') && (!line.contains("le=") || line.contains("email"))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        notifications_delivered_total{channel="email",event_type="digest",status="delivered"} 4
        notifications_delivered_total{channel="email",event_type="document_uploaded",status="delivered"} 6
        notifications_delivered_total{channel="webhook",event_type="other",status="dead"} 10
        notification_retries_total{channel="discord"} 0
        notification_retries_total{channel="email"} 0
        notification_retries_total{channel="slack"} 0
        notification_retries_total{channel="sms"} 0
        notification_retries_total{channel="webhook"} 14
        notification_delivery_runs_total{result="failure"} 1
        notification_delivery_runs_total{result="success"} 1
        notification_delivery_queue_depth{channel="email"} 12
        notification_delivery_queue_depth{channel="sms"} 0
        notification_delivery_oldest_due_age_seconds{channel="email"} 18
        notification_delivery_oldest_due_age_seconds{channel="sms"} 0
        notification_dead_letters{channel="email",status="dead"} 5
        notification_dead_letters{channel="email",status="uncertain"} 0
        notification_dead_letters{channel="sms",status="dead"} 5
        notification_dead_letters{channel="sms",status="uncertain"} 0
        notification_delivery_last_run_duration_seconds 0.25
        notification_delivery_last_success_timestamp_seconds 1700000000
        notification_delivery_duration_seconds_bucket{channel="email",le="0.025"} 0
        notification_delivery_duration_seconds_bucket{channel="email",le="0.05"} 2
        notification_delivery_duration_seconds_bucket{channel="email",le="0.1"} 2
        notification_delivery_duration_seconds_bucket{channel="email",le="0.25"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="0.5"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="1"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="2.5"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="5"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="10"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="15"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="30"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="60"} 4
        notification_delivery_duration_seconds_bucket{channel="email",le="+Inf"} 4
        notification_delivery_duration_seconds_sum{channel="email"} 0.5
        notification_delivery_duration_seconds_count{channel="email"} 4
        notification_delivery_duration_seconds_sum{channel="sms"} 180
        notification_delivery_duration_seconds_count{channel="sms"} 2
        notification_delivery_duration_seconds_sum{channel="slack"} 0
        notification_delivery_duration_seconds_count{channel="slack"} 0
        notification_delivery_duration_seconds_sum{channel="discord"} 0
        notification_delivery_duration_seconds_count{channel="discord"} 0
        notification_delivery_duration_seconds_sum{channel="webhook"} 0
        notification_delivery_duration_seconds_count{channel="webhook"} 0
        "#);
        for (name, ..) in FAMILIES {
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }

    #[test]
    fn names_that_are_none_make_no_series() {
        let text = "# TYPE notifications_delivered_total counter\n\
            notifications_delivered_total{channel=\"fax\",event_type=\"digest\",status=\"dead\"} 1\n\
            notifications_delivered_total{channel=\"sms\",event_type=\"x\",status=\"y\"} 2\n\
            # TYPE notification_delivery_runs_total counter\n\
            notification_delivery_runs_total{result=\"maybe\"} 3\n";
        let totals = DeliveryTotals::from_text(text);
        let text = totals.to_text().expect("text");
        let series: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(DELIVERED) || line.starts_with(RUNS))
            .collect();
        insta::assert_snapshot!(series.join("\n"), @r#"
        notifications_delivered_total{channel="sms",event_type="other",status="other"} 2
        notification_delivery_runs_total{result="failure"} 0
        notification_delivery_runs_total{result="success"} 0
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}|(notification[a-z_]{0,30}(\\{(le|channel)=\"[a-z0-9.]{1,5}\"\\})? [0-9eE+NaInf.-]{1,8}\n){0,5}") {
            let mut totals = DeliveryTotals::from_text(&text);
            totals.add_run(&counts(), 0.5, true);
            prop_assert!(totals.to_text().is_ok());
        }
    }
}
