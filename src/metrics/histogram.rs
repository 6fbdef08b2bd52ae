//! A histogram that is read from text, added to, and written as text.

use prometheus::proto::{Bucket, LabelPair, Metric};
use prometheus_parse::HistogramCount;

use super::encode::whole;

/// Observations by upper bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// Per bound, not cumulative; the last is for what is beyond all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        self.counts[place.unwrap_or(self.bounds.len())] += 1;
        self.sum += value;
    }

    /// Adds observations by the same bounds, and their sum.
    pub(super) fn add(&mut self, counts: &[u64], sum: f64) {
        for (count, more) in self.counts.iter_mut().zip(counts) {
            *count += more;
        }
        self.sum += sum;
    }

    /// Takes over the cumulative counts of an earlier run.
    pub(super) fn restore(&mut self, buckets: &[HistogramCount]) {
        let mut below = 0;
        for bucket in buckets {
            let place = self
                .bounds
                .iter()
                .position(|bound| *bound >= bucket.less_than);
            let count = whole(bucket.count);
            self.counts[place.unwrap_or(self.bounds.len())] = count.saturating_sub(below);
            below = count;
        }
    }

    /// Takes over the sum of an earlier run.
    pub(super) fn restore_sum(&mut self, sum: f64) {
        if sum.is_finite() {
            self.sum = sum;
        }
    }

    pub(super) fn to_metric(&self, labels: Vec<LabelPair>) -> Metric {
        let mut below = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = prometheus::proto::Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(self.counts.iter().sum());
        histogram.set_sample_sum(self.sum);
        let mut metric = Metric::from_label(labels);
        metric.set_histogram(histogram);
        metric
    }
}
