//! `seed`: test events and a small world around them.

use std::fmt::{self, Display};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::human::count;
use super::{Exit, Failure, database_failure, output};
use crate::config::{Config, Format};
use crate::db::Database;
use crate::seed::{Count, SeedFailed, Seeded, Size, clear, foreign_rows, seed};

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

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let database = config.database()?;
    let done = if arguments.clear {
        let removed = clear(&database).await;
        Done::Removed(removed.map_err(|failed| seed_failure(&database, failed))?)
    } else {
        Done::Seeded(insert(&arguments, &database, format).await?)
    };
    output::done(&done, format)
}

async fn insert(
    arguments: &Arguments,
    database: &Database,
    format: Format,
) -> Result<Option<Seeded>, Failure> {
    let failure = |failed| seed_failure(database, failed);
    let size = match arguments.events {
        Some(events) => Size::Load(events),
        None if arguments.operator => Size::Operator,
        None => Size::Small,
    };
    if !arguments.yes {
        let foreign = foreign_rows(database, arguments.if_empty).await;
        confirm(database, &foreign.map_err(failure)?)?;
    }
    let bar = output::progress_bar(format);
    if let Size::Load(events) = size {
        bar.set_message(format!("inserting {} events", count(u64::from(events))));
        bar.enable_steady_tick(Duration::from_millis(100));
    }
    let seeded = seed(database, size, arguments.if_empty).await;
    bar.finish_and_clear();
    seeded.map_err(failure)
}

/// Asks where there are rows that the seed has not made, or refuses where there is nobody to ask.
fn confirm(database: &Database, foreign: &[String]) -> Result<(), Failure> {
    if foreign.is_empty() {
        return Ok(());
    }
    let place = database.describe();
    let relations = foreign.join(", ");
    let found = format!("{place} holds rows that the seed has not made, in {relations}");
    let question = format!("{found}.\nAdd test data to them? [y/N] ");
    match output::ask(&question)? {
        Some(answer) if answer.starts_with(['y', 'Y']) => Ok(()),
        Some(_) => Err(Failure::Refused("nothing was inserted".to_owned())),
        None => Err(Failure::Usage(format!(
            "{found}; nothing was inserted. To add test data to them: --yes"
        ))),
    }
}

fn seed_failure(database: &Database, failed: SeedFailed) -> Failure {
    match failed {
        SeedFailed::Database(error) => database_failure(database, error),
        refused => Failure::Refused(refused.to_string()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Removed(Vec<Count>),
    /// `None`: there are events already.
    Seeded(Option<Seeded>),
}

impl Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |counts: &[Count]| counts.iter().map(|count| count.rows).sum::<i64>();
        match self {
            Self::Removed(counts) if sum(counts) == 0 => {
                writeln!(f, "No rows of the seed were found.")
            }
            Self::Removed(counts) => {
                writeln!(f, "Removed:")?;
                list(f, counts)
            }
            Self::Seeded(None) => writeln!(f, "There are events already: nothing was seeded."),
            Self::Seeded(Some(Seeded { world, events })) => {
                writeln!(f, "The world:")?;
                if sum(world) == 0 {
                    writeln!(f, "   was there already")?;
                }
                list(f, world)?;
                writeln!(f, "Events: {}", sum(events))?;
                list(f, events)?;
                writeln!(
                    f,
                    "Next: notify-fan-out run --dry-run, then: notify-fan-out run"
                )
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, counts: &[Count]) -> fmt::Result {
    let mut counts = counts.iter().filter(|count| count.rows > 0);
    counts.try_for_each(|Count { name, rows }| writeln!(f, "{rows:>8}  {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_counted() {
        let counts = |counts: &[(&str, i64)]| {
            let counts = counts.iter().map(|&(name, rows)| Count {
                name: name.to_owned(),
                rows,
            });
            counts.collect::<Vec<_>>()
        };
        let events = counts(&[("document_uploaded", 2), ("meeting_invited", 1)]);
        let seeded = [&[("profiles", 9), ("orgs", 0)][..], &[("profiles", 0)]].map(|world| {
            let (world, events) = (counts(world), events.clone());
            Done::Seeded(Some(Seeded { world, events })).to_string()
        });
        insta::assert_snapshot!(seeded.concat(), @"
        The world:
               9  profiles
        Events: 3
               2  document_uploaded
               1  meeting_invited
        Next: notify-fan-out run --dry-run, then: notify-fan-out run
        The world:
           was there already
        Events: 3
               2  document_uploaded
               1  meeting_invited
        Next: notify-fan-out run --dry-run, then: notify-fan-out run
        ");
        let removed = [&[("notifications", 20), ("orgs", 0)][..], &[("orgs", 0)]];
        let removed = removed.map(|rows| Done::Removed(counts(rows)).to_string());
        insta::assert_snapshot!(removed.concat(), @"
        Removed:
              20  notifications
        No rows of the seed were found.
        ");
    }
}
