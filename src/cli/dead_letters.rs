//! `dead-letters`: deliveries that failed permanently or are uncertain.

mod change;
mod filters;
mod list;
mod show;

use clap::{Args, Subcommand};

use super::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::ops::dead_letters::Action;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out dead-letters list                       the latest, and how many there are
  notify-fan-out dead-letters list --status uncertain --channel sms
  notify-fan-out dead-letters show 4711                  all of one: attempts, answers, text
  notify-fan-out dead-letters retry --error 'connection refused' --dry-run
  notify-fan-out dead-letters retry 4711 4712
  notify-fan-out dead-letters discard --target billing --age 7d

A dead letter failed permanently (dead), or was sent and may have arrived
(uncertain). It stays until someone retries or discards it.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List those that match
    #[command(after_help = "\
Examples:
  notify-fan-out dead-letters list
  notify-fan-out dead-letters list --status uncertain --channel sms
  notify-fan-out dead-letters list --error '550' --newer-than 2d --oldest-first")]
    List(list::Arguments),
    /// Show everything about one delivery
    #[command(after_help = "\
Examples:
  notify-fan-out dead-letters show 4711
  notify-fan-out dead-letters show 4711 --format json | jq .attempts")]
    Show(show::Arguments),
    /// Requeue those that match, as if never tried
    #[command(after_help = "\
Examples:
  notify-fan-out dead-letters retry 4711 4712
  notify-fan-out dead-letters retry --target billing --newer-than 2d
  notify-fan-out dead-letters retry --error 'connection refused' --dry-run")]
    Retry(change::Arguments),
    /// Cancel those that match; their row and reason stay until they are pruned
    #[command(after_help = "\
Examples:
  notify-fan-out dead-letters discard 4711
  notify-fan-out dead-letters discard --target billing --age 7d

A discarded dead letter suppresses no repetition: the same alert may be sent again at once.
An uncertain one counts as sent.")]
    Discard(change::Arguments),
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    match arguments.command {
        Command::List(arguments) => list::execute(arguments, config, format).await,
        Command::Show(arguments) => show::execute(&arguments, config, format).await,
        Command::Retry(arguments) => {
            change::execute(Action::Retry, arguments, config, format).await
        }
        Command::Discard(arguments) => {
            change::execute(Action::Discard, arguments, config, format).await
        }
    }
}
