//! `deliver`: the minute job of the second stage. `deliver --dry-run`: what it would send.

mod dry;
mod summary;

use std::time::Instant;

use clap::Args;

use super::run::{already_running, processor_id, progress_bar};
use super::singleton::{Job, SingletonLock};
use super::{ExitStatus, Failure, database_failure, signals, wiring};
use crate::config::{Config, Format};
use crate::delivery::run;
use crate::metrics;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out deliver                  send everything that is due
  notify-fan-out deliver --dry-run        show what that would be, and send nothing
  notify-fan-out deliver --limit 10 --concurrency 1
  notify-fan-out deliver --exclusive      exit with code 5 if another instance runs

Runs that overlap, on one machine or several, share the work. What is not taken is tried again by
later runs; what is given up is shown by: notify-fan-out dead-letters list")]
pub(super) struct Arguments {
    /// Stop after this many messages [default: none]
    #[arg(long, value_name = "MESSAGES", value_parser = limit)]
    limit: Option<u64>,
}

fn limit(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a whole number from 1".to_owned())
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let settings = config.delivery(arguments.limit, processor_id());
    let post = wiring::post(config)?;
    let database = config.database()?;
    if config.delivery_dry_run {
        return dry::execute(&database, &post, &settings, format).await;
    }
    let started = Instant::now();
    let lock = if config.delivery_exclusive {
        let acquired = SingletonLock::acquire(&database, Job::Delivery).await;
        let Some(lock) = acquired.map_err(|error| database_failure(&database, error))? else {
            return already_running(format);
        };
        Some(lock)
    } else {
        None
    };
    let stop = signals::stop_on_signal()?;
    let bar = progress_bar(format);
    let (report, result) = run(&database, post, &settings, &stop, &mut |report| {
        bar.set_message(format!("{} delivered", report.delivered));
        bar.tick();
    })
    .await;
    bar.finish_and_clear();
    drop(lock);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &config.delivery_metrics_file {
        let counts = &report.counts;
        let is_ok = result.is_ok();
        let recorded = metrics::record_delivery(path, &database, counts, seconds, is_ok).await;
        if let Err(error) = recorded {
            tracing::warn!(path = %path.display(), "NOTIFY_DELIVERY_METRICS_FILE could not be written: {error}");
        }
    }
    let printed = summary::print(&report, seconds, result.is_err(), format, config.log_format);
    // How the run went counts for more than whether anyone heard of it.
    result.map_err(|error| database_failure(&database, error))?;
    printed?;
    Ok(if report.dead + report.uncertain > 0 {
        ExitStatus::EventsFailed
    } else {
        ExitStatus::Success
    })
}
