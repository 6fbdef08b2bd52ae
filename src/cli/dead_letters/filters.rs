//! Which dead letters, as flags.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::channels::Channel;
use crate::config::parse_time;
use crate::db::Session;
use crate::ops::dead_letters::{DeadLetterFilter, DeadLetterStatus, FilterValues, filter_values};
use crate::ops::excerpt;

/// Types and targets that are named where nothing matches.
const MOST_NAMED: usize = 20;

/// Filters narrow each other; values of one widen it.
#[derive(Debug, Args)]
pub(super) struct Filters {
    /// These deliveries
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// This delivery; may be given more than once, as all that follow
    #[arg(long = "id", value_name = "ID")]
    more_ids: Vec<i64>,
    /// Of this channel
    #[arg(long = "channel", value_name = "CHANNEL", value_enum)]
    channels: Vec<Channel>,
    /// Of events of this type; digest for digests
    #[arg(long = "type", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Only those that failed permanently, or only those that may have arrived
    #[arg(long = "status", value_name = "STATUS", value_enum)]
    statuses: Vec<Status>,
    /// Whose reason or code has this text in it, letter by letter; … stands for anything
    #[arg(long, value_name = "TEXT", value_parser = part_of_an_error)]
    error: Option<String>,
    /// That ended longer ago than this, such as 2h or 7d
    #[arg(long, visible_alias = "older-than", value_name = "TIME", value_parser = parse_time)]
    age: Option<Duration>,
    /// That ended less long ago than this
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    newer_than: Option<Duration>,
    /// To this endpoint, by name or identifier; to this route, such as env:slack; to this person, by
    /// identifier
    #[arg(long = "target", visible_alias = "endpoint", value_name = "NAME")]
    targets: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Status {
    /// Failed permanently
    Dead,
    /// May have arrived
    Uncertain,
}

fn part_of_an_error(text: &str) -> Result<String, String> {
    if !excerpt::says_something(text) {
        return Err("must have a letter or digit in it".to_owned());
    }
    Ok(text.to_owned())
}

fn some<T>(values: Vec<T>) -> Option<Vec<T>> {
    (!values.is_empty()).then_some(values)
}

/// What helps where nothing matches: which types and targets there are, if some were asked for.
pub(super) async fn what_there_is(
    session: &mut Session,
    filter: &DeadLetterFilter,
) -> Result<String, sqlx::Error> {
    let mut words = String::new();
    if filter.event_types.is_none() && filter.targets.is_none() {
        return Ok(words);
    }
    let filter_values = filter_values(session).await?;
    if filter_values == FilterValues::default() {
        words.push_str("There is none at all.\n");
        return Ok(words);
    }
    for (is_asked, what, names) in [
        (
            filter.event_types.is_some(),
            "type",
            filter_values.event_types,
        ),
        (filter.targets.is_some(), "target", filter_values.targets),
    ] {
        if is_asked {
            let _ = writeln!(words, "By --{what} there are: {}.", some_of(names));
        }
    }
    Ok(words)
}

fn some_of(mut names: Vec<String>) -> String {
    let hidden = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if hidden > 0 {
        names.push(format!("and {hidden} more"));
    }
    names.join(", ")
}

impl From<Filters> for DeadLetterFilter {
    fn from(filters: Filters) -> Self {
        let mut ids = filters.ids;
        ids.extend(filters.more_ids);
        let statuses = |status: &Status| match status {
            Status::Dead => DeadLetterStatus::Dead,
            Status::Uncertain => DeadLetterStatus::Uncertain,
        };
        Self {
            ids: some(ids),
            channels: some(filters.channels),
            event_types: some(filters.event_types),
            statuses: some(filters.statuses.iter().map(statuses).collect()),
            error: filters.error,
            older_than: filters.age,
            newer_than: filters.newer_than,
            targets: some(filters.targets),
        }
    }
}
