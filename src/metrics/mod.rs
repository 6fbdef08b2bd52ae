//! Metrics for the textfile collector of Prometheus' `node_exporter`.
//!
//! A job that lives for seconds can't be scraped. It leaves a file instead, in which each run
//! finds the counters of the ones before it. Names follow Prometheus' conventions: base units,
//! `_total` for counters. The file is replaced as a whole, so that no half of one is ever read.

mod backlog;
mod delivery;
mod encode;
mod file;
mod histogram;
mod queue;
mod totals;

use std::path::Path;

use crate::db::Database;
use crate::delivery::DeliveryCounts;
use crate::fan_out::FanOutReport;
use delivery::DeliveryTotals;
use totals::Totals;

/// Why the metrics could not be written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsFailed {
    /// The file or its directory.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The encoder.
    #[error("{0}")]
    Encode(#[from] prometheus::Error),
}

/// Adds a run of `seconds` to the counters in the file and sets its gauges. Where the database
/// can't be asked, the gauges keep what they were.
pub async fn record(
    path: &Path,
    database: &Database,
    report: &FanOutReport,
    seconds: f64,
    succeeded: bool,
) -> Result<(), MetricsFailed> {
    let backlog = backlog::read(database).await;
    if let Err(error) = &backlog {
        tracing::warn!(
            sqlstate = crate::db::sqlstate(error),
            "the backlog could not be measured"
        );
    }
    let _lock = file::lock(path)?;
    let mut totals = Totals::from_text(&file::read(path)?);
    totals.add_run(report, seconds, succeeded);
    if let Ok(backlog) = backlog {
        totals.set_backlog(&backlog, succeeded);
    }
    file::replace(path, totals.to_text()?.as_bytes())?;
    Ok(())
}

/// Adds a run of `deliver` of `seconds` to the counters in its file and sets its gauges, as
/// [`record`] does.
pub async fn record_delivery(
    path: &Path,
    database: &Database,
    counts: &DeliveryCounts,
    seconds: f64,
    succeeded: bool,
) -> Result<(), MetricsFailed> {
    let queue = queue::read(database).await;
    if let Err(error) = &queue {
        tracing::warn!(
            sqlstate = crate::db::sqlstate(error),
            "what waits to be delivered could not be measured"
        );
    }
    let _lock = file::lock(path)?;
    let mut totals = DeliveryTotals::from_text(&file::read(path)?);
    totals.add_run(counts, seconds, succeeded);
    if let Ok(queue) = queue {
        totals.set_queue(&queue, succeeded);
    }
    file::replace(path, totals.to_text()?.as_bytes())?;
    Ok(())
}

/// What a metric is.
#[cfg(test)]
pub(crate) struct Description {
    pub(crate) name: &'static str,
    pub(crate) kind: prometheus::proto::MetricType,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

/// Every metric of both files.
#[cfg(test)]
pub(crate) fn descriptions() -> Vec<Description> {
    totals::descriptions()
        .into_iter()
        .chain(delivery::descriptions())
        .collect()
}
