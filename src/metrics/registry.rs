//! The values of a set of metrics: read from Prometheus' text, added to, and written as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Metric {
    /// The series of one set of labels' values, in the order of their values: what is added to the
    /// name, and the bucket.
    fn series(&self) -> Vec<(&'static str, Option<String>)> {
        match self.kind {
            Kind::Counter | Kind::Gauge => vec![("", None)],
            Kind::Histogram(bounds) => {
                let bounds = bounds.iter().map(ToString::to_string);
                bounds
                    .chain(["+Inf".to_owned()])
                    .map(|bound| ("_bucket", Some(bound)))
                    .chain([("_sum", None), ("_count", None)])
                    .collect()
            }
        }
    }
}

/// A metric's name, and its labels' values.
type Key = (&'static str, Vec<String>);

#[derive(Debug, PartialEq)]
pub(super) struct Registry {
    metrics: &'static [&'static Metric],
    /// A value for each series of the metric.
    samples: BTreeMap<Key, Vec<f64>>,
}

impl Registry {
    /// What an earlier run left in the text. What it does not know counts as absent: a counter that
    /// starts anew is something Prometheus expects.
    pub(super) fn from_text(metrics: &'static [&'static Metric], text: &str) -> Self {
        let mut registry = Self {
            metrics,
            samples: BTreeMap::new(),
        };
        for line in text.lines() {
            registry.restore(line);
        }
        // A bucket that an earlier version did not have counts what the one before it does.
        for values in registry.samples.values_mut() {
            for place in 1..values.len().saturating_sub(2) {
                values[place] = values[place].max(values[place - 1]);
            }
        }
        registry
    }

    fn restore(&mut self, line: &str) -> Option<()> {
        let (series, value) = line.rsplit_once(' ')?;
        let value = value.parse().ok().filter(|value: &f64| value.is_finite())?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |name: &str| {
            let mut pairs = labels.trim_end_matches('}').split(',');
            pairs.find_map(|pair| {
                pair.strip_prefix(name)?
                    .strip_prefix("=\"")?
                    .strip_suffix('"')
            })
        };
        let (metric, place) = self.metrics.iter().find_map(|metric| {
            let of_metric = (name.strip_prefix(metric.name)?, label("le"));
            let mut series = metric.series().into_iter();
            let place = series.position(|(suffix, le)| of_metric == (suffix, le.as_deref()))?;
            Some((*metric, place))
        })?;
        let labels: Option<Vec<&str>> = metric.labels.iter().map(|name| label(name)).collect();
        self.sample(metric, &labels?)[place] = value;
        Some(())
    }

    /// Adds to a counter, which is there from then on.
    pub(super) fn add(&mut self, counter: &'static Metric, labels: &[&str], count: u64) {
        self.sample(counter, labels)[0] += float(count);
    }

    /// Sets a gauge.
    pub(super) fn set(&mut self, gauge: &'static Metric, labels: &[&str], value: f64) {
        self.sample(gauge, labels)[0] = value;
    }

    /// Adds observations to a histogram: how many within each of its bounds and beyond, and their sum.
    pub(super) fn observe(
        &mut self,
        histogram: &'static Metric,
        labels: &[&str],
        counts: &[u64],
        sum: f64,
    ) {
        let values = self.sample(histogram, labels);
        let mut within = 0;
        for (value, count) in values.iter_mut().zip(counts) {
            within += count;
            *value += float(within);
        }
        if let [.., of_all, count] = &mut values[..] {
            *of_all += sum;
            *count += float(within);
        }
    }

    fn sample(&mut self, metric: &'static Metric, labels: &[&str]) -> &mut Vec<f64> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let sample = self.samples.entry((metric.name, labels));
        sample.or_insert_with(|| vec![0.0; metric.series().len()])
    }

    /// The text, in the order of the metrics; one without a value is left out.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for metric in self.metrics {
            let Metric {
                name, kind, help, ..
            } = metric;
            let is_of_metric = |(key, _): &(&Key, _)| key.0 == *name;
            let mut samples = self.samples.iter().filter(is_of_metric).peekable();
            if samples.peek().is_some() {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
            }
            for ((_, labels), values) in samples {
                for ((suffix, bucket), value) in metric.series().into_iter().zip(values) {
                    let names = metric.labels.iter().chain(&["le"]);
                    let pairs = names.zip(labels.iter().chain(&bucket));
                    let pairs: Vec<_> = pairs
                        .map(|(name, value)| format!("{name}=\"{value}\""))
                        .collect();
                    let labels = match &pairs[..] {
                        [] => String::new(),
                        pairs => format!("{{{}}}", pairs.join(",")),
                    };
                    let _ = writeln!(text, "{name}{suffix}{labels} {value}");
                }
            }
        }
        text
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
