//! How long events wait until they complete, in buckets: a run may complete millions.

/// Upper bounds of the buckets, in seconds. A cron job's floor is its minute.
pub const BOUNDS: [f64; 12] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 86_400.0,
];

/// Seconds from occurrence to completion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies {
    /// Per bound, not cumulative; the last is for what is beyond all of them.
    pub counts: [u64; BOUNDS.len() + 1],
    pub sum: f64,
}

impl Latencies {
    pub fn observe(&mut self, seconds: f64) {
        self.counts[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    pub fn add(&mut self, others: &Self) {
        for (count, more) in self.counts.iter_mut().zip(others.counts) {
            *count += more;
        }
        self.sum += others.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_include_their_upper_bound() {
        let mut latencies = Latencies::default();
        for seconds in [0.0, 0.1, 0.2, 86_400.0, 86_401.0] {
            latencies.observe(seconds);
        }
        assert_eq!(latencies.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }
}
