//! `dead-letters list`.

use std::fmt::Write as _;

use clap::Args;

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
    let found = list(&mut session, &filter, order, arguments.limit)
        .await
        .map_err(refused)?;
    match format {
        Format::Json => output::json(&found)?,
        Format::Text if found.dead_letters.is_empty() => {
            let hint = what_there_is(&mut session, &filter).await;
            let hint = hint.map_err(refused)?;
            output::text(&format!("No dead letter matches.\n{hint}"))?;
        }
        Format::Text => output::text(&in_words(&found, Style::stdout()))?,
    }
    Ok(ExitStatus::Success)
}

fn in_words(found: &List, style: Style) -> String {
    let heading = ["id", "status", "channel", "type", "to", "ended", "tries"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(found.dead_letters.iter().map(cells));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            let widths = rows.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        })
        .collect();
    let reasons = std::iter::once("reason".to_owned()).chain(found.dead_letters.iter().map(reason));
    let mut words = String::new();
    for (no, (row, reason)) in rows.iter().zip(reasons).enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Numbers and times stand to the right.
            let _ = match column {
                0 | 5 | 6 => write!(line, "{cell:>width$}  "),
                _ => write!(line, "{cell:<width$}  "),
            };
        }
        line.push_str(&reason);
        let line = line.trim_end();
        let _ = writeln!(
            words,
            "{}",
            if no == 0 {
                style.dim(line)
            } else {
                line.to_owned()
            }
        );
    }
    let shown = found.dead_letters.len() as u64;
    if shown < found.matching_count {
        let _ = writeln!(
            words,
            "… these are {} of {}: --limit shows more",
            count(shown),
            counted(found.matching_count, "dead letter", "dead letters")
        );
    }
    words
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
        insta::assert_snapshot!(in_words(&list, Style::plain()), @"
           id  status  channel  type             to                                         ended  tries  reason
            7  dead    webhook  alert_triggered  billing (https://hooks.example.com/…)  2h 5m ago      6  503 from the server
        12345  dead    email    alert_triggered  b…@example.com                         2h 5m ago      6  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
        … these are 2 of 1,204 dead letters: --limit shows more
        ");
    }
}
