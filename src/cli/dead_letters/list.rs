//! `dead-letters list`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::filters::{Filters, what_there_is};
use crate::cli::human::{count, counted, time};
use crate::cli::output::Style;
use crate::cli::{ExitStatus, Failure, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::dead_letters::{DeadLetter, List, Order, list};

/// Characters of a reason that fit; `show` has all of it.
const REASON_WIDTH: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    /// List this many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// What ended first comes first [default: what ended last]
    #[arg(long)]
    oldest_first: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let order = if arguments.oldest_first {
        Order::OldestFirst
    } else {
        Order::NewestFirst
    };
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let refused = |error| database_failure(&database, error);
    let filter = arguments.filters.into();
    let list = list(&mut session, &filter, order, arguments.limit)
        .await
        .map_err(refused)?;
    let hint = if format == Format::Text && list.dead_letters.is_empty() {
        what_there_is(&mut session, &filter)
            .await
            .map_err(refused)?
    } else {
        String::new()
    };
    output::emit(&Found { list, hint }, format)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    list: List,
    /// What to know where nothing matches.
    #[serde(skip)]
    hint: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let List {
            dead_letters,
            matching_count,
            ..
        } = &self.list;
        if dead_letters.is_empty() {
            return write!(f, "No dead letter matches.\n{}", self.hint);
        }
        let heading =
            ["id", "status", "channel", "type", "to", "ended", "tries"].map(str::to_owned);
        let mut rows = vec![heading];
        rows.extend(dead_letters.iter().map(cells));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
        let reasons = std::iter::once("reason".to_owned()).chain(dead_letters.iter().map(reason));
        for (no, (row, reason)) in rows.iter().zip(reasons).enumerate() {
            let cells = row.iter().zip(widths).enumerate();
            let cells: String = cells
                .map(|(column, (cell, width))| match column {
                    // Numbers and times are aligned to the right.
                    0 | 5 | 6 => format!("{cell:>width$}  "),
                    _ => format!("{cell:<width$}  "),
                })
                .collect();
            let line = cells + &reason;
            match no {
                0 => writeln!(f, "{}", Style::of(f).dim(line.trim_end()))?,
                _ => writeln!(f, "{}", line.trim_end())?,
            }
        }
        let shown = dead_letters.len() as u64;
        if shown < *matching_count {
            let all = counted(*matching_count, "dead letter", "dead letters");
            writeln!(
                f,
                "… these are {} of {all}: --limit shows more",
                count(shown)
            )?;
        }
        Ok(())
    }
}

fn cells(letter: &DeadLetter) -> [String; 7] {
    [
        letter.id.to_string(),
        letter.status.clone(),
        letter.channel.clone(),
        letter.event_type.clone(),
        letter.to.clone(),
        format!("{} ago", time(letter.age_seconds)),
        count(letter.attempts_count),
    ]
}

/// On one line, and cut.
fn reason(letter: &DeadLetter) -> String {
    let reason = letter.reason.as_deref().or(letter.code.as_deref());
    let reason = reason.unwrap_or("(no reason recorded)");
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= REASON_WIDTH {
        return line;
    }
    let mut cut: String = line.chars().take(REASON_WIDTH - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn letter(id: i64, channel: &str, to: &str, reason: &str) -> DeadLetter {
        DeadLetter {
            id,
            status: "dead".to_owned(),
            channel: channel.to_owned(),
            event_type: "alert_triggered".to_owned(),
            event_id: Some(1),
            target: channel.to_owned(),
            recipient: "user:1".to_owned(),
            to: to.to_owned(),
            attempts_count: 6,
            reason: Some(reason.to_owned()),
            code: Some("503".to_owned()),
            occurred_at: DateTime::UNIX_EPOCH,
            finished_at: None,
            age_seconds: 7_500.0,
        }
    }

    #[test]
    fn columns_are_aligned_and_reasons_cut() {
        let list = List {
            matching_count: 1_204,
            dead_letters: vec![
                letter(
                    7,
                    "webhook",
                    "billing (https://hooks.example.com/…)",
                    "503 from the\nserver",
                ),
                letter(12_345, "email", "b…@example.com", &"x".repeat(200)),
            ],
        };
        let hint = String::new();
        insta::assert_snapshot!(Found { list, hint }, @"
           id  status  channel  type             to                                         ended  tries  reason
            7  dead    webhook  alert_triggered  billing (https://hooks.example.com/…)  2h 5m ago      6  503 from the server
        12345  dead    email    alert_triggered  b…@example.com                         2h 5m ago      6  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
        … these are 2 of 1,204 dead letters: --limit shows more
        ");
    }
}
