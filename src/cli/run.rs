//! `run`: the minute job. `run --dry-run`: what it would do.

mod dry;
mod report;

use clap::Args;

use super::{Exit, Failure, database_failure, job, singleton};
use crate::config::{Config, Format};
use crate::db::Database;
use crate::fan_out::{RunFailed, run};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out                          notify of everything that is due
  notify-fan-out run --dry-run            show what that would be, and write nothing
  notify-fan-out run --dry-run --format json | jq .title
  notify-fan-out run --limit 100 --batch-size 50
  notify-fan-out run --exclusive          exit with code 5 if another instance runs

Events of the types in NOTIFY_FANOUT_IGNORE_TYPES complete without effect.
Runs that overlap, on one machine or several, share the work.")]
pub(super) struct Arguments {
    /// Stop after this many events [default: none]
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let settings = config.fan_out(arguments.limit, job::processor_id())?;
    let database = config.database()?;
    if config.dry_run {
        return dry::execute(&database, &settings, format).await;
    }
    let options = job::Options {
        lock: singleton::Job::FanOut,
        exclusive: config.exclusive,
        metrics_file: config.metrics_file.as_deref(),
        format,
    };
    job::execute(&database, &options, async |stop, progress| {
        let (report, result) = run(&database, &settings, stop, progress).await;
        report::warn(&report);
        (report, result.map_err(database_error))
    })
    .await
}

fn database_error(failed: RunFailed) -> sqlx::Error {
    let (RunFailed::Unreachable(error) | RunFailed::Database(error)) = failed;
    error
}

pub(super) fn run_failure(database: &Database, failed: RunFailed) -> Failure {
    database_failure(database, database_error(failed))
}
