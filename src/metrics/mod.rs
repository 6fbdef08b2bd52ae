//! Metrics for the textfile collector of Prometheus' `node_exporter`.
//!
//! A job that lives for seconds can't be scraped. It leaves a file instead, in which each run
//! finds the counters of the ones before it. The file is replaced as a whole, so that no half of one is ever read.

/// Declares the metrics of one file, all of them with the same prefix.
macro_rules! metrics {
    ($($id:ident: $kind:expr, $name:literal, [$($label:literal),*], $help:literal;)+) => {
        $(
            static $id: Metric = Metric {
                name: concat!("notify_fan_out_", $name),
                kind: { use Kind::*; $kind },
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// All of them, in the order of the file.
        pub(crate) static METRICS: &[&Metric] = &[$(&$id),+];
    };
}

mod daemon;
mod delivery;
mod fan_out;
mod file;
mod live;
mod registry;

pub(crate) use daemon::DaemonState;
pub(crate) use live::Live;

use std::io;
use std::path::Path;

use crate::db::{Access, Database, Transaction};
use crate::delivery::DeliveryCounts;
use crate::fan_out::FanOutReport;
use registry::{Metric, Registry};

/// Adds a run of `seconds` to the counters in the file and sets its gauges. Where the database
/// can't be asked, the gauges keep what they were.
pub async fn record(
    path: &Path,
    database: &Database,
    report: &FanOutReport,
    seconds: f64,
    succeeded: bool,
) -> io::Result<()> {
    let backlog = ask(database, fan_out::backlog).await;
    update(path, fan_out::METRICS, |registry| {
        fan_out::add_run(registry, report, seconds, succeeded);
        if let Some(backlog) = backlog {
            fan_out::set_backlog(registry, &backlog, succeeded);
        }
    })
}

/// Adds a run of `deliver`, as [`record`] does.
pub async fn record_delivery(
    path: &Path,
    database: &Database,
    counts: &DeliveryCounts,
    seconds: f64,
    succeeded: bool,
) -> io::Result<()> {
    let queue = ask(database, delivery::queue).await;
    update(path, delivery::METRICS, |registry| {
        delivery::add_run(registry, counts, seconds, succeeded);
        if let Some(queue) = queue {
            delivery::set_queue(registry, &queue, succeeded);
        }
    })
}

/// Reads the gauges from the database, if it answers.
async fn ask<T>(
    database: &Database,
    read: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, sqlx::Error>,
) -> Option<T> {
    let ask = async {
        let mut session = database.connect().await?;
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let answer = read(&mut transaction).await?;
        transaction.rollback().await?;
        session.close().await?;
        Ok(answer)
    };
    let answer: Result<T, sqlx::Error> = ask.await;
    answer
        .inspect_err(|error| {
            tracing::warn!(
                sqlstate = crate::db::sqlstate(error),
                "the gauges of the metrics could not be read from the database"
            );
        })
        .ok()
}

/// Changes the values in the file, which no other run changes meanwhile.
fn update(
    path: &Path,
    metrics: &'static [&'static Metric],
    change: impl FnOnce(&mut Registry),
) -> io::Result<()> {
    let _lock = file::lock(path)?;
    let mut registry = Registry::from_text(metrics, &file::read(path)?);
    change(&mut registry);
    file::replace(path, registry.to_text().as_bytes())
}

/// Every metric.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static Metric> {
    let stages = fan_out::METRICS.iter().chain(delivery::METRICS);
    stages.chain(daemon::METRICS).copied()
}
