//! `status`: how things stand, and what to do where something is wrong.

mod deliveries;
mod events;
mod mails;
mod page;
mod server;
#[cfg(test)]
mod tests;

use clap::Args;

use super::human::count;
use super::output::Style;
use super::{ExitStatus, Failure, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::status::{Status, status};
use page::Page;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out status
  notify-fan-out status --format json | jq .backlog.due_count
  watch -n 5 notify-fan-out status

It reads one snapshot in a transaction that cannot write, and works on a standby.
It costs the same however long the history is: the tables' figures are estimates.")]
pub(super) struct Arguments {}

pub(super) async fn execute(
    _arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let stuck_after = config.stuck_after;
    let ignored_types = config.ignored_types.clone().unwrap_or_default();
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let status = status(&mut session, stuck_after, ignored_types)
        .await
        .map_err(|error| database_failure(&database, error))?;
    match format {
        Format::Json => output::json(&status)?,
        Format::Text => output::text(&in_words(&status, Style::stdout()))?,
    }
    Ok(ExitStatus::Success)
}

fn in_words(status: &Status, style: Style) -> String {
    let mut page = Page {
        words: String::new(),
        style,
    };
    page.backlog(&status.backlog);
    page.processing(&status.processing);
    page.ignored(&status.ignored);
    page.failed(&status.failed);
    page.emails(&status.pending_emails);
    page.deliveries(&status.deliveries);
    page.window("Last hour", &status.last_hour);
    page.window("Last day", &status.last_day);
    page.vacuum(&status.vacuum);
    page.tables(&status.tables);
    page.words
}

fn waits(number: u64) -> String {
    format!(
        "{} {}",
        count(number),
        if number == 1 { "waits" } else { "wait" }
    )
}
