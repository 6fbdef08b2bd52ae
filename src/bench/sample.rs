//! Figures of repeated runs.

use serde::Serialize;

/// The middle and the ends of what several runs gave.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) runs: usize,
}

impl Sample {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            min: at(0),
            max: at(last),
            runs: values.len(),
        }
    }

    /// `1.43 (1.40–1.51)`, with so many digits behind the point.
    pub(crate) fn show(&self, digits: usize) -> String {
        let Self {
            median, min, max, ..
        } = self;
        format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
    }
}
