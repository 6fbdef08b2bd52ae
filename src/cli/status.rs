//! `status`: backlog, failures, deliveries and the server, and what to do where something is wrong.

mod deliveries;
mod events;
mod mails;
mod page;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;

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
    output::emit(&status, format)?;
    Ok(ExitStatus::Success)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut page = Page {
            text: String::new(),
            style: Style::of(f),
        };
        page.backlog(&self.backlog);
        page.processing(&self.processing);
        page.ignored(&self.ignored);
        page.failed(&self.failed);
        page.emails(&self.pending_emails);
        page.deliveries(&self.deliveries);
        page.window("Last hour", &self.last_hour);
        page.window("Last day", &self.last_day);
        page.vacuum(&self.vacuum);
        page.tables(&self.tables);
        f.write_str(&page.text)
    }
}

fn waits(number: u64) -> String {
    format!(
        "{} {}",
        count(number),
        if number == 1 { "waits" } else { "wait" }
    )
}
