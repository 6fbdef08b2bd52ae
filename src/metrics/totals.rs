//! The metrics as values: read from text, added to, written as text.

use std::collections::BTreeMap;

use prometheus::proto::{LabelPair, MetricType};
use prometheus_parse::{Scrape, Value};

use super::backlog::Backlog;
use super::encode::{counter, family, float, gauge, labels};
use super::histogram::Histogram;
use crate::domain::latency;
use crate::fan_out::FanOutReport;

/// A metric's name, and its one label's name with a value, if it has one.
type Key = (&'static str, Option<&'static str>);

const LATENCY: &str = "notify_fan_out_event_latency_seconds";
const LATENCY_HELP: &str = "From an event's occurrence to its completion.";

/// Every counter: name, label, its values, help.
const COUNTERS: &[(&str, Option<&str>, &[&str], &str)] = &[
    (
        "notify_fan_out_runs_total",
        Some("result"),
        &["success", "failure"],
        "Runs of the job.",
    ),
    (
        "notify_fan_out_events_total",
        Some("outcome"),
        &[
            "completed",
            "failed",
            "retried",
            "expired",
            "expired_unhandled",
            "ignored",
        ],
        "Events settled, by outcome.",
    ),
    (
        "notify_fan_out_notifications_total",
        None,
        &[],
        "Notifications created.",
    ),
    (
        "notify_fan_out_notifications_merged_total",
        None,
        &[],
        "Deliveries merged into a notification that was still unread.",
    ),
    ("notify_fan_out_emails_total", None, &[], "E-mails queued."),
    (
        "notify_fan_out_suppressed_total",
        None,
        &[],
        "Recipients passed over because of a preference, a right, or because they had been told.",
    ),
    (
        "notify_fan_out_rescued_total",
        None,
        &[],
        "Claims taken from workers that were gone.",
    ),
];

/// Every gauge: name, help.
const GAUGES: &[(&str, &str)] = &[
    ("notify_fan_out_backlog_events", "Events that are pending."),
    (
        "notify_fan_out_backlog_oldest_age_seconds",
        "Age of the oldest pending event.",
    ),
    (
        "notify_fan_out_failed_events",
        "Events that failed and wait for a person.",
    ),
    (
        "notify_fan_out_last_run_duration_seconds",
        "Duration of the last run.",
    ),
    (
        "notify_fan_out_last_success_timestamp_seconds",
        "When a run last succeeded, in seconds since 1970.",
    ),
];

/// All values of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Totals {
    values: BTreeMap<Key, f64>,
    latency: Histogram,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            latency: Histogram::new(&latency::BOUNDS),
        }
    }
}

impl Totals {
    /// What an earlier run left. What is not understood counts as absent: a counter that starts
    /// anew is something Prometheus expects.
    pub(super) fn from_text(text: &str) -> Self {
        let mut totals = Self::default();
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let Ok(scrape) = Scrape::parse(lines) else {
            return totals;
        };
        for sample in &scrape.samples {
            match &sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => {
                    if let Some(key) = known(&sample.metric, &sample.labels)
                        && value.is_finite()
                    {
                        totals.values.insert(key, *value);
                    } else if sample.metric == format!("{LATENCY}_sum") {
                        totals.latency.restore_sum(*value);
                    }
                }
                Value::Histogram(buckets) if sample.metric == LATENCY => {
                    totals.latency.restore(buckets);
                }
                _ => {}
            }
        }
        totals
    }

    /// Counts a run.
    pub(super) fn add_run(&mut self, report: &FanOutReport, seconds: f64, succeeded: bool) {
        let result = if succeeded { "success" } else { "failure" };
        let runs = ("notify_fan_out_runs_total", Some(result));
        let events = |outcome| ("notify_fan_out_events_total", Some(outcome));
        for (key, count) in [
            (runs, 1),
            (events("completed"), report.events),
            (events("failed"), report.failed),
            (events("retried"), report.retried),
            (events("expired"), report.expired),
            (
                events("expired_unhandled"),
                report.expired_unhandled_count(),
            ),
            (events("ignored"), report.ignored),
            (
                ("notify_fan_out_notifications_total", None),
                report.notifications,
            ),
            (
                ("notify_fan_out_notifications_merged_total", None),
                report.merged,
            ),
            (("notify_fan_out_emails_total", None), report.emails),
            (("notify_fan_out_suppressed_total", None), report.suppressed),
            (("notify_fan_out_rescued_total", None), report.rescued),
        ] {
            *self.values.entry(key).or_default() += float(count);
        }
        self.set("notify_fan_out_last_run_duration_seconds", seconds);
        self.latency
            .add(&report.latencies.counts, report.latencies.sum);
    }

    /// Sets the gauges.
    pub(super) fn set_backlog(&mut self, backlog: &Backlog, succeeded: bool) {
        self.set("notify_fan_out_backlog_events", backlog.events);
        self.set(
            "notify_fan_out_backlog_oldest_age_seconds",
            backlog.oldest_age,
        );
        self.set("notify_fan_out_failed_events", backlog.failed);
        if succeeded {
            self.set("notify_fan_out_last_success_timestamp_seconds", backlog.now);
        }
    }

    fn set(&mut self, gauge: &'static str, value: f64) {
        self.values.insert((gauge, None), value);
    }

    /// The file's text.
    pub(super) fn to_text(&self) -> Result<String, prometheus::Error> {
        let mut families = Vec::new();
        for (name, label, values, help) in COUNTERS {
            let metric = |value: Option<&'static str>| {
                let total = self.values.get(&(*name, value)).copied();
                counter(label_pair(*label, value), total.unwrap_or_default())
            };
            let metrics = match label {
                Some(_) => values.iter().map(|value| metric(Some(value))).collect(),
                None => vec![metric(None)],
            };
            families.push(family(name, help, MetricType::COUNTER, metrics));
        }
        for (name, help) in GAUGES {
            if let Some(value) = self.values.get(&(*name, None)) {
                let sample = gauge(Vec::new(), *value);
                families.push(family(name, help, MetricType::GAUGE, vec![sample]));
            }
        }
        families.push(family(
            LATENCY,
            LATENCY_HELP,
            MetricType::HISTOGRAM,
            vec![self.latency.to_metric(Vec::new())],
        ));
        prometheus::TextEncoder::new().encode_to_string(&families)
    }
}

#[cfg(test)]
pub(super) fn descriptions() -> Vec<super::Description> {
    let of = |name, kind, labels, help| super::Description {
        name,
        kind,
        labels,
        help,
    };
    let counters = COUNTERS
        .iter()
        .map(|(name, label, _, help)| of(name, MetricType::COUNTER, label.as_slice(), help));
    let gauges = GAUGES
        .iter()
        .map(|(name, help)| of(name, MetricType::GAUGE, &[], help));
    let latency = of(LATENCY, MetricType::HISTOGRAM, &[], LATENCY_HELP);
    counters.chain(gauges).chain([latency]).collect()
}

fn known(name: &str, labels: &prometheus_parse::Labels) -> Option<Key> {
    if let Some((gauge, _)) = GAUGES.iter().find(|(gauge, _)| *gauge == name) {
        return Some((gauge, None));
    }
    let (counter, label, values, _) = COUNTERS.iter().find(|(counter, ..)| *counter == name)?;
    let Some(label) = label else {
        return Some((counter, None));
    };
    let value = labels.get(label)?;
    let value = values.iter().find(|known| **known == value)?;
    Some((counter, Some(value)))
}

fn label_pair(label: Option<&str>, value: Option<&str>) -> Vec<LabelPair> {
    let (Some(label), Some(value)) = (label, value) else {
        return Vec::new();
    };
    labels(&[label], &[value])
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
    fn counters_survive_between_runs() {
        let mut first = Totals::default();
        first.add_run(&report(), 0.5, true);
        first.set_backlog(
            &Backlog {
                events: 2.0,
                oldest_age: 7.5,
                failed: 1.0,
                now: 1_700_000_000.0,
            },
            true,
        );
        let text = first.to_text().expect("text");
        let mut second = Totals::from_text(&text);
        assert_eq!(second.to_text().expect("text"), text);
        second.add_run(&report(), 0.25, false);
        insta::assert_snapshot!(second.to_text().expect("text"), @r#"
        # HELP notify_fan_out_runs_total Runs of the job.
        # TYPE notify_fan_out_runs_total counter
        notify_fan_out_runs_total{result="success"} 1
        notify_fan_out_runs_total{result="failure"} 1
        # HELP notify_fan_out_events_total Events settled, by outcome.
        # TYPE notify_fan_out_events_total counter
        notify_fan_out_events_total{outcome="completed"} 6
        notify_fan_out_events_total{outcome="failed"} 2
        notify_fan_out_events_total{outcome="retried"} 0
        notify_fan_out_events_total{outcome="expired"} 0
        notify_fan_out_events_total{outcome="expired_unhandled"} 0
        notify_fan_out_events_total{outcome="ignored"} 0
        # HELP notify_fan_out_notifications_total Notifications created.
        # TYPE notify_fan_out_notifications_total counter
        notify_fan_out_notifications_total 10
        # HELP notify_fan_out_notifications_merged_total Deliveries merged into a notification that was still unread.
        # TYPE notify_fan_out_notifications_merged_total counter
        notify_fan_out_notifications_merged_total 0
        # HELP notify_fan_out_emails_total E-mails queued.
        # TYPE notify_fan_out_emails_total counter
        notify_fan_out_emails_total 0
        # HELP notify_fan_out_suppressed_total Recipients passed over because of a preference, a right, or because they had been told.
        # TYPE notify_fan_out_suppressed_total counter
        notify_fan_out_suppressed_total 0
        # HELP notify_fan_out_rescued_total Claims taken from workers that were gone.
        # TYPE notify_fan_out_rescued_total counter
        notify_fan_out_rescued_total 0
        # HELP notify_fan_out_backlog_events Events that are pending.
        # TYPE notify_fan_out_backlog_events gauge
        notify_fan_out_backlog_events 2
        # HELP notify_fan_out_backlog_oldest_age_seconds Age of the oldest pending event.
        # TYPE notify_fan_out_backlog_oldest_age_seconds gauge
        notify_fan_out_backlog_oldest_age_seconds 7.5
        # HELP notify_fan_out_failed_events Events that failed and wait for a person.
        # TYPE notify_fan_out_failed_events gauge
        notify_fan_out_failed_events 1
        # HELP notify_fan_out_last_run_duration_seconds Duration of the last run.
        # TYPE notify_fan_out_last_run_duration_seconds gauge
        notify_fan_out_last_run_duration_seconds 0.25
        # HELP notify_fan_out_last_success_timestamp_seconds When a run last succeeded, in seconds since 1970.
        # TYPE notify_fan_out_last_success_timestamp_seconds gauge
        notify_fan_out_last_success_timestamp_seconds 1700000000
        # HELP notify_fan_out_event_latency_seconds From an event's occurrence to its completion.
        # TYPE notify_fan_out_event_latency_seconds histogram
        notify_fan_out_event_latency_seconds_bucket{le="0.1"} 0
        notify_fan_out_event_latency_seconds_bucket{le="0.5"} 2
        notify_fan_out_event_latency_seconds_bucket{le="1"} 2
        notify_fan_out_event_latency_seconds_bucket{le="5"} 2
        notify_fan_out_event_latency_seconds_bucket{le="15"} 2
        notify_fan_out_event_latency_seconds_bucket{le="30"} 2
        notify_fan_out_event_latency_seconds_bucket{le="60"} 4
        notify_fan_out_event_latency_seconds_bucket{le="120"} 4
        notify_fan_out_event_latency_seconds_bucket{le="300"} 4
        notify_fan_out_event_latency_seconds_bucket{le="900"} 4
        notify_fan_out_event_latency_seconds_bucket{le="3600"} 4
        notify_fan_out_event_latency_seconds_bucket{le="86400"} 4
        notify_fan_out_event_latency_seconds_bucket{le="+Inf"} 6
        notify_fan_out_event_latency_seconds_sum 200118.4
        notify_fan_out_event_latency_seconds_count 6
        "#);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}|(notify_fan_out_[a-z_]{0,30}(\\{le=\"[0-9.]{1,3}\"\\})? [0-9eE+NaInf.-]{1,8}\n){0,5}") {
            let mut totals = Totals::from_text(&text);
            totals.add_run(&report(), 0.5, true);
            prop_assert!(totals.to_text().is_ok());
        }
    }
}
