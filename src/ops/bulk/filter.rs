//! Selects failed events or dead letters.

use std::time::Duration;

use clap::{Args, ValueEnum};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

use crate::channels::Channel;
use crate::config::parse_time;
use crate::handlers::EventType;

/// Filters of failed events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CommonFilter {
    /// Only these
    #[arg(value_name = "ID")]
    pub ids: Vec<i64>,
    /// Only of this event type, which is digest for a digest; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    pub event_types: Vec<String>,
    /// Only those whose error has this text in it, letter by letter; … stands for anything
    #[arg(long, value_name = "TEXT", value_parser = part_of_an_error)]
    pub error: Option<String>,
}

/// Filters of dead letters. They narrow each other; values of one widen it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Filter {
    #[command(flatten)]
    pub common: CommonFilter,
    /// Only this delivery; may be given more than once, as all that follow
    #[arg(long = "id", value_name = "ID")]
    pub more_ids: Vec<i64>,
    /// Only of this channel
    #[arg(long = "channel", value_name = "CHANNEL", value_enum)]
    pub channels: Vec<Channel>,
    /// Only those that failed permanently, or only those that may have arrived
    #[arg(long = "status", value_name = "STATUS", value_enum)]
    pub statuses: Vec<DeadLetterStatus>,
    /// Only those that ended longer ago than this, such as 2h or 7d
    #[arg(long, visible_alias = "older-than", value_name = "TIME", value_parser = parse_time)]
    pub age: Option<Duration>,
    /// Only those that ended less long ago than this
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub newer_than: Option<Duration>,
    /// Only to this endpoint, by name or identifier; to this route, such as env:slack; to this person,
    /// by identifier
    #[arg(long = "target", visible_alias = "endpoint", value_name = "NAME")]
    pub targets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeadLetterStatus {
    /// Failed permanently
    Dead,
    /// May have arrived
    Uncertain,
}

impl Filter {
    /// Whether it selects all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Binds it as `$1` to `$8`.
    pub(in crate::ops) fn bind<'q, O>(
        &self,
        query: QueryAs<'q, Postgres, O, PgArguments>,
    ) -> QueryAs<'q, Postgres, O, PgArguments> {
        let common = &self.common;
        let spellings = |name: &String| EventType::spellings_of(name);
        let status = |status: &DeadLetterStatus| match status {
            DeadLetterStatus::Dead => "dead",
            DeadLetterStatus::Uncertain => "uncertain",
        };
        query
            .bind(any([&*common.ids, &*self.more_ids].concat()))
            .bind(any(common.event_types.iter().flat_map(spellings)))
            .bind(common.error.as_deref().map(pattern))
            .bind(any(self.channels.iter().map(|channel| channel.name())))
            .bind(any(self.statuses.iter().map(status)))
            .bind(self.age.map(|age| age.as_secs_f64()))
            .bind(self.newer_than.map(|age| age.as_secs_f64()))
            .bind(any(self.targets.iter().cloned()))
    }
}

/// No values exclude nothing.
fn any<T>(values: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let values: Vec<T> = values.into_iter().collect();
    (!values.is_empty()).then_some(values)
}

/// Whether a part of an error would tell it from another.
pub fn is_distinctive(error: &str) -> bool {
    error.chars().any(char::is_alphanumeric)
}

fn part_of_an_error(text: &str) -> Result<String, String> {
    if !is_distinctive(text) {
        return Err("must have a letter or digit in it".to_owned());
    }
    Ok(text.to_owned())
}

/// The pattern of `LIKE` for what has it in it, letter by letter, as a person copies it from what was
/// shown; `…` stands for anything.
fn pattern(error: &str) -> String {
    let mut pattern = String::from("%");
    for letter in error.chars() {
        match letter {
            '…' => pattern.push('%'),
            '%' | '_' | '\\' => pattern.extend(['\\', letter]),
            _ => pattern.push(letter),
        }
    }
    pattern.push('%');
    pattern
}
