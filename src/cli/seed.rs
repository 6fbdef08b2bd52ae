//! `seed`: test events and a small world around them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::human::count;
use super::{ExitStatus, Failure, database_failure, output};
use crate::config::{Config, Format};
use crate::db::Database;
use crate::seed::{Count, SeedFailed, Seeded, Size, clear, rows_of_others, seed};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out seed                   sixteen events of the thirteen types, and whom they concern
  notify-fan-out seed --operator        an event of each of the ten operator types instead
  notify-fan-out seed --events 20000    a mixed load, for trials; the same one each time
  notify-fan-out seed --clear           take all of it away again, and nothing else

Every identifier that the seed makes begins with 5eed5eed-fa11-4. Called again, it adds the events
once more and leaves its people, projects and preferences as they are now. It asks before it fills a
database that holds rows of others: a production database, perhaps.")]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub(super) struct Arguments {
    /// Remove what the seed made, and the notifications and e-mails that came of it
    #[arg(long, conflicts_with_all = ["events", "operator", "if_empty", "yes"])]
    clear: bool,
    /// Insert so many events of a mixed load instead of the sixteen [1 to 10000000]
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    events: Option<u32>,
    /// Insert one event of each operator type instead of the sixteen
    #[arg(long, conflicts_with = "events")]
    operator: bool,
    /// Only if there are no events at all
    #[arg(long)]
    if_empty: bool,
    /// Do not ask before filling a database that holds rows of others
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
            Format::Text => output::text(&removed_in_words(&removed))?,
        }
        return Ok(ExitStatus::Success);
    }
    let size = match arguments.events {
        Some(events) => Size::Load(events),
        None if arguments.operator => Size::Operator,
        None => Size::Small,
    };
    if !arguments.yes {
        let others = rows_of_others(&database, arguments.if_empty);
        confirm(&database, &others.await.map_err(failure)?)?;
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
        (Format::Text, Some(seeded)) => output::text(&seeded_in_words(&seeded))?,
        (Format::Text, None) => output::text("There are events already: nothing was seeded.")?,
    }
    Ok(ExitStatus::Success)
}

/// Asks where rows of others are, or refuses where there is nobody to ask.
fn confirm(database: &Database, others: &[String]) -> Result<(), Failure> {
    if others.is_empty() {
        return Ok(());
    }
    let place = database.describe();
    let found = format!(
        "{place} holds rows that the seed has not made, in {}",
        others.join(", ")
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

fn seeded_in_words(seeded: &Seeded) -> String {
    let mut words = String::from("The world:\n");
    if sum(&seeded.world) == 0 {
        words.push_str("   was there already\n");
    }
    list(&mut words, &seeded.world);
    let _ = writeln!(words, "Events: {}", sum(&seeded.events));
    list(&mut words, &seeded.events);
    words.push_str("Next: notify-fan-out run --dry-run, then: notify-fan-out run\n");
    words
}

fn removed_in_words(removed: &[Count]) -> String {
    if sum(removed) == 0 {
        return "Nothing of the seed's was there.".to_owned();
    }
    let mut words = String::from("Removed:\n");
    list(&mut words, removed);
    words
}

fn list(words: &mut String, counts: &[Count]) {
    for count in counts.iter().filter(|count| count.rows > 0) {
        let _ = writeln!(words, "{:>8}  {}", count.rows, count.name);
    }
}

fn sum(counts: &[Count]) -> i64 {
    counts.iter().map(|count| count.rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, i64)]) -> Vec<Count> {
        counts
            .iter()
            .map(|&(name, rows)| Count {
                name: name.to_owned(),
                rows,
            })
            .collect()
    }

    #[test]
    fn what_was_inserted_is_counted() {
        let seeded = Seeded {
            world: counts(&[("profiles", 9), ("orgs", 0)]),
            events: counts(&[("document_uploaded", 2), ("meeting_invited", 1)]),
        };
        insta::assert_snapshot!(seeded_in_words(&seeded), @r"
        The world:
               9  profiles
        Events: 3
               2  document_uploaded
               1  meeting_invited
        Next: notify-fan-out run --dry-run, then: notify-fan-out run
        ");
    }

    #[test]
    fn a_world_that_was_there_is_not_counted() {
        let seeded = Seeded {
            world: counts(&[("profiles", 0)]),
            events: counts(&[("document_uploaded", 2)]),
        };
        insta::assert_snapshot!(seeded_in_words(&seeded), @r"
        The world:
           was there already
        Events: 2
               2  document_uploaded
        Next: notify-fan-out run --dry-run, then: notify-fan-out run
        ");
    }

    #[test]
    fn what_was_removed_is_counted() {
        insta::assert_snapshot!(removed_in_words(&counts(&[("notifications", 20), ("orgs", 0)])), @r"
        Removed:
              20  notifications
        ");
        insta::assert_snapshot!(removed_in_words(&counts(&[("orgs", 0)])), @"Nothing of the seed's was there.");
    }
}
