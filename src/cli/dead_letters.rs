//! `dead-letters`: deliveries that failed permanently or are uncertain.

mod list;
mod show;

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::{Exit, Failure, bulk};
use crate::config::{Config, Format};
use crate::db::Session;
use crate::ops::bulk::{Action, BulkAction, Filter, Items};
use crate::ops::dead_letters::filter_values;

/// Types and targets that are named where nothing matches.
const MOST_NAMED: usize = 20;

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
    Retry(ChangeArguments),
    /// Cancel those that match; their row and reason stay until they are pruned
    #[command(after_help = "\
Examples:
  notify-fan-out dead-letters discard 4711
  notify-fan-out dead-letters discard --target billing --age 7d

A discarded dead letter suppresses no repetition: the same alert may be sent again at once.
An uncertain one counts as sent.")]
    Discard(ChangeArguments),
}

#[derive(Debug, Args)]
struct ChangeArguments {
    #[command(flatten)]
    filter: Filter,
    /// Count what would be changed, in a transaction that cannot write
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let (action, ChangeArguments { filter, dry_run }) = match arguments.command {
        Command::List(arguments) => return list::execute(arguments, config, format).await,
        Command::Show(arguments) => return show::execute(&arguments, config, format).await,
        Command::Retry(arguments) => (Action::Retry, arguments),
        Command::Discard(arguments) => (Action::Discard, arguments),
    };
    if filter.is_empty() {
        return Err(Failure::Usage(
            "which dead letters? Name their ids, --channel, --type, --status, --error TEXT, --age TIME, \
             --newer-than TIME or --target NAME; there is no flag for all of them. \
             notify-fan-out dead-letters list shows what there is"
                .to_owned(),
        ));
    }
    let bulk = BulkAction {
        items: Items::DeadLetters,
        action,
        filter: &filter,
    };
    bulk::execute(bulk, dry_run, config, format).await
}

/// What helps where nothing matches: which types and targets there are, if some were asked for.
pub(super) async fn hint(session: &mut Session, filter: &Filter) -> Result<String, sqlx::Error> {
    let is_asked = [
        !filter.common.event_types.is_empty(),
        !filter.targets.is_empty(),
    ];
    if is_asked == [false; 2] {
        return Ok(String::new());
    }
    let values = filter_values(session).await?;
    if values.event_types.is_empty() {
        return Ok("There is none at all.\n".to_owned());
    }
    let mut hint = String::new();
    let named = [("type", values.event_types), ("target", values.targets)];
    for ((what, mut names), _) in named.into_iter().zip(is_asked).filter(|(_, asked)| *asked) {
        bulk::shorten(&mut names, MOST_NAMED);
        let _ = writeln!(hint, "By --{what} there are: {}.", names.join(", "));
    }
    Ok(hint)
}
