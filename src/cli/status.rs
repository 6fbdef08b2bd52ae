//! `status`: backlog, failures, deliveries and the server, and what to do where something is wrong.

mod deliveries;
mod events;
mod server;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};

use clap::Args;

use super::human::time;
use super::output::Style;
use super::{Exit, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::status::{Status, status};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out status
  notify-fan-out status --format json | jq .backlog.due_count
  watch -n 5 notify-fan-out status

It reads one snapshot in a transaction that cannot write, and works on a standby.
It costs the same however long the history is: the tables' figures are estimates.")]
pub(super) struct Arguments {}

pub(super) async fn execute(_arguments: Arguments, config: &Config, format: Format) -> Exit {
    let ignored_types = config.ignored_types.clone().unwrap_or_default();
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let status = status(&mut session, config.stuck_after, ignored_types)
        .await
        .map_err(|error| database_failure(&database, error))?;
    output::done(&status, format)
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
        page.daemons(&self.daemons);
        page.vacuum(&self.vacuum);
        page.tables(&self.tables);
        f.write_str(&page.text)
    }
}

/// The page that the sections write to.
struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn line(&mut self, heading: &str, text: impl AsRef<str>) {
        // Padded first: colours have no width on the screen.
        let heading = self.style.bold(&format!("{heading:<12}"));
        let line = format!("{heading}{}", text.as_ref());
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// A line under the one before.
    fn more(&mut self, text: impl AsRef<str>) {
        self.line("", text);
    }

    /// What to do about the line before.
    fn hint(&mut self, text: impl AsRef<str>) {
        let text = self.style.warn(&format!("→ {}", text.as_ref()));
        let _ = writeln!(self.text, "{:<12}{text}", "");
    }
}

/// A time between two texts, or nothing.
fn timed(before: &str, seconds: Option<f64>, after: &str) -> String {
    let seconds = seconds.map(|seconds| format!("{before}{}{after}", time(seconds)));
    seconds.unwrap_or_default()
}
