//! `deliver`: the minute job of delivery. `deliver --dry-run`: what it would send.

mod dry;
mod report;

use clap::Args;

use super::{Exit, job, singleton, wiring};
use crate::config::{Config, Format};
use crate::delivery::run;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out deliver                  send everything that is due
  notify-fan-out deliver --dry-run        show what that would be, and send nothing
  notify-fan-out deliver --limit 10 --concurrency 1
  notify-fan-out deliver --exclusive      exit with code 5 if another instance runs

Runs that overlap, on one machine or several, share the work. Later runs retry what was not accepted;
what fails permanently is shown by: notify-fan-out dead-letters list")]
pub(super) struct Arguments {
    /// Stop after this many messages [default: none]
    #[arg(long, value_name = "MESSAGES", value_parser = limit)]
    limit: Option<u64>,
}

fn limit(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a whole number from 1".to_owned())
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let settings = config.delivery(arguments.limit, job::processor_id());
    let sender = wiring::sender(config)?;
    let database = config.database()?;
    if config.delivery_dry_run {
        return dry::execute(&database, &sender, &settings, format).await;
    }
    let options = job::Options {
        lock: singleton::Job::Delivery,
        exclusive: config.delivery_exclusive,
        metrics_file: config.delivery_metrics_file.as_deref(),
        format,
    };
    job::execute(&database, &options, async |stop, progress| {
        Box::pin(run(&database, sender, &settings, stop, progress)).await
    })
    .await
}
