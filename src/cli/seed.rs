//! `seed`: test events and a small world around them.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::human::count;
use super::{ExitStatus, Failure, database_failure, output};
use crate::config::{Config, Format};
use crate::db::Database;
use crate::seed::{SeedFailed, Size, clear, foreign_rows, seed};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out seed                   events that show every rule, and the people they concern
  notify-fan-out seed --operator        an event of each operator type instead
  notify-fan-out seed --events 20000    a mixed load, for trials; the same one each time
  notify-fan-out seed --clear           remove all of it again, and nothing else

Every identifier that the seed makes begins with 5eed5eed-fa11-4. Called again, it adds the events
once more and leaves its people, projects and preferences as they are now. It asks before it inserts
into a database that holds other rows: a production database, perhaps.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Arguments {
    /// Remove what the seed made, and the notifications and e-mails that resulted from it
    #[arg(long, conflicts_with_all = ["events", "operator", "if_empty", "yes"])]
    clear: bool,
    /// Insert so many events of a mixed load instead [1 to 10000000]
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    events: Option<u32>,
    /// Insert an event of each operator type instead
    #[arg(long, conflicts_with = "events")]
    operator: bool,
    /// Only if there are no events at all
    #[arg(long)]
    if_empty: bool,
    /// Do not ask before inserting into a database that holds other rows
    #[arg(long)]
    yes: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let database = config.database()?;
    let failure = |failed| seed_failure(&database, failed);
    if arguments.clear {
        let removed = clear(&database).await.map_err(failure)?;
        match format {
            Format::Json => output::json(&json!({ "removed": removed }))?,
            Format::Text => output::text(&removed.to_string())?,
        }
        return Ok(ExitStatus::Success);
    }
    let size = match arguments.events {
        Some(events) => Size::Load(events),
        None if arguments.operator => Size::Operator,
        None => Size::Small,
    };
    if !arguments.yes {
        let foreign = foreign_rows(&database, arguments.if_empty);
        confirm(&database, &foreign.await.map_err(failure)?)?;
    }
    let bar = output::progress_bar(format);
    if let Size::Load(events) = size {
        bar.set_message(format!("inserting {} events", count(u64::from(events))));
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    let seeded = seed(&database, size, arguments.if_empty).await;
    bar.finish_and_clear();
    let seeded = seeded.map_err(failure)?;
    match (format, seeded) {
        (Format::Json, seeded) => output::json(&json!({ "seeded": seeded }))?,
        (Format::Text, Some(seeded)) => output::text(&seeded.to_string())?,
        (Format::Text, None) => output::text("There are events already: nothing was seeded.")?,
    }
    Ok(ExitStatus::Success)
}

/// Asks where there are rows that the seed has not made, or refuses where there is nobody to ask.
fn confirm(database: &Database, foreign: &[String]) -> Result<(), Failure> {
    if foreign.is_empty() {
        return Ok(());
    }
    let place = database.describe();
    let found = format!(
        "{place} holds rows that the seed has not made, in {}",
        foreign.join(", ")
    );
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{found}; nothing was inserted. To add test data to them: --yes"
        )));
    }
    eprint!("{found}.\nAdd test data to them? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if !answer.trim_start().starts_with(['y', 'Y']) {
        return Err(Failure::Refused("nothing was inserted".to_owned()));
    }
    Ok(())
}

fn seed_failure(database: &Database, failed: SeedFailed) -> Failure {
    match failed {
        SeedFailed::Database(error) => database_failure(database, error),
        refused => Failure::Refused(refused.to_string()),
    }
}
