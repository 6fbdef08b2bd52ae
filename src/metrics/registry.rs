//! The values of a set of metrics: read from Prometheus' text, added to, and written as text.

use std::collections::BTreeMap;

use prometheus::proto::{self, MetricFamily, MetricType};
use prometheus_parse::{HistogramCount, Scrape, Value};

/// What a metric is. Names follow Prometheus' conventions: base units, `_total` for counters.
#[derive(Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// How a metric's values behave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Grows from run to run.
    Counter,
    /// What holds at the end of the last run.
    Gauge,
    /// Observations by these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    #[cfg(test)]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Values by the metric's name and its labels' values.
#[derive(Debug, PartialEq)]
pub(super) struct Registry {
    metrics: &'static [&'static Metric],
    samples: BTreeMap<(&'static str, Vec<String>), Sample>,
}

#[derive(Debug, Clone, PartialEq)]
enum Sample {
    Number(f64),
    Histogram(Histogram),
}

/// Observations: how many within each bound and beyond all of them, not cumulative, and their sum.
#[derive(Debug, Clone, PartialEq)]
struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

impl Registry {
    /// What an earlier run left in the text. What it does not know counts as absent: a counter that
    /// starts anew is something Prometheus expects.
    pub(super) fn from_text(metrics: &'static [&'static Metric], text: &str) -> Self {
        let mut registry = Self {
            metrics,
            samples: BTreeMap::new(),
        };
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        for sample in Scrape::parse(lines).map_or_else(|_| Vec::new(), |scrape| scrape.samples) {
            registry.restore(&sample);
        }
        registry
    }

    fn restore(&mut self, sample: &prometheus_parse::Sample) -> Option<()> {
        let of_histogram = sample.metric.strip_suffix("_sum");
        let metric = self.metrics.iter().find(|metric| match metric.kind {
            Kind::Histogram(_) => metric.name == sample.metric || of_histogram == Some(metric.name),
            _ => metric.name == sample.metric,
        })?;
        let labels: Option<Vec<&str>> = metric
            .labels
            .iter()
            .map(|label| sample.labels.get(label))
            .collect();
        match (self.sample(metric, &labels?), &sample.value) {
            (Sample::Histogram(histogram), Value::Histogram(buckets)) => histogram.restore(buckets),
            (
                Sample::Histogram(Histogram { sum: number, .. }) | Sample::Number(number),
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value),
            ) if value.is_finite() => *number = *value,
            _ => {}
        }
        Some(())
    }

    /// Adds to a counter, which is there from then on.
    pub(super) fn add(&mut self, counter: &'static Metric, labels: &[&str], count: u64) {
        if let Sample::Number(value) = self.sample(counter, labels) {
            *value += float(count);
        }
    }

    /// Sets a gauge.
    pub(super) fn set(&mut self, gauge: &'static Metric, labels: &[&str], value: f64) {
        *self.sample(gauge, labels) = Sample::Number(value);
    }

    /// Adds observations to a histogram: how many within each of its bounds and beyond, and their sum.
    pub(super) fn observe(
        &mut self,
        histogram: &'static Metric,
        labels: &[&str],
        counts: &[u64],
        sum: f64,
    ) {
        if let Sample::Histogram(histogram) = self.sample(histogram, labels) {
            for (count, more) in histogram.counts.iter_mut().zip(counts) {
                *count += more;
            }
            histogram.sum += sum;
        }
    }

    fn sample(&mut self, metric: &'static Metric, labels: &[&str]) -> &mut Sample {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let none = match metric.kind {
            Kind::Counter | Kind::Gauge => Sample::Number(0.0),
            Kind::Histogram(bounds) => Sample::Histogram(Histogram {
                bounds,
                counts: vec![0; bounds.len() + 1],
                sum: 0.0,
            }),
        };
        self.samples.entry((metric.name, labels)).or_insert(none)
    }

    /// The text, in the order of the metrics; one without a value is left out.
    pub(super) fn to_text(&self) -> Result<String, prometheus::Error> {
        let families = self.metrics.iter().filter_map(|metric| {
            let of_metric = self
                .samples
                .iter()
                .filter(|((name, _), _)| *name == metric.name);
            let samples: Vec<_> = of_metric
                .map(|((_, labels), sample)| sample.encode(metric, labels))
                .collect();
            (!samples.is_empty()).then(|| family(metric, samples))
        });
        prometheus::TextEncoder::new().encode_to_string(&families.collect::<Vec<_>>())
    }
}

impl Histogram {
    /// Takes over the cumulative counts of an earlier run.
    fn restore(&mut self, buckets: &[HistogramCount]) {
        let mut below = 0;
        for bucket in buckets {
            let at = self
                .bounds
                .partition_point(|bound| *bound < bucket.less_than);
            let count = whole(bucket.count);
            self.counts[at] = count.saturating_sub(below);
            below = count;
        }
    }

    fn encode(&self) -> proto::Histogram {
        let mut below = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, count)| {
            below += count;
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut encoded = proto::Histogram::default();
        encoded.set_bucket(buckets.collect());
        encoded.set_sample_count(self.counts.iter().sum());
        encoded.set_sample_sum(self.sum);
        encoded
    }
}

impl Sample {
    fn encode(&self, metric: &Metric, values: &[String]) -> proto::Metric {
        let pairs = metric.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value.clone());
            pair
        });
        let mut encoded = proto::Metric::from_label(pairs.collect());
        match (self, metric.kind) {
            (Self::Histogram(histogram), _) => encoded.set_histogram(histogram.encode()),
            (Self::Number(value), Kind::Gauge) => {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(*value);
                encoded.set_gauge(gauge);
            }
            (Self::Number(value), _) => {
                let mut counter = proto::Counter::default();
                counter.set_value(*value);
                encoded.set_counter(counter);
            }
        }
        encoded
    }
}

fn family(metric: &Metric, samples: Vec<proto::Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram(_) => MetricType::HISTOGRAM,
    });
    family.set_metric(samples);
    family
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count read from text; what is not one becomes 0"
)]
fn whole(count: f64) -> u64 {
    count as u64
}
