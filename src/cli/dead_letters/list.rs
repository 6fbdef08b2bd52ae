//! `dead-letters list`.

use std::fmt;

use clap::Args;

use super::hint;
use crate::cli::human::{count, counted, time};
use crate::cli::output::Style;
use crate::cli::{ExitStatus, Failure, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::bulk::Filter;
use crate::ops::dead_letters::{DeadLetter, List, Order, list};

/// Characters of a reason that fit; `show` has all of it.
const REASON_WIDTH: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    filter: Filter,
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
    let list = list(&mut session, &arguments.filter, order, arguments.limit)
        .await
        .map_err(refused)?;
    output::emit(&list, format)?;
    if format == Format::Text && list.dead_letters.is_empty() {
        let hint = hint(&mut session, &arguments.filter)
            .await
            .map_err(refused)?;
        if !hint.is_empty() {
            output::text(&hint)?;
        }
    }
    Ok(ExitStatus::Success)
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dead_letters.is_empty() {
            return writeln!(f, "No dead letter matches.");
        }
        let heading = [
            "id", "status", "channel", "type", "to", "ended", "tries", "reason",
        ];
        let mut rows = vec![heading.map(str::to_owned)];
        rows.extend(self.dead_letters.iter().map(cells));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: [usize; 8] = std::array::from_fn(|column| width(column).unwrap_or(0));
        for (no, row) in rows.iter().enumerate() {
            let cells = row.iter().zip(widths).enumerate();
            let line: String = cells
                .map(|(column, (cell, width))| match column {
                    // Numbers and times are aligned to the right.
                    0 | 5 | 6 => format!("{cell:>width$}  "),
                    _ => format!("{cell:<width$}  "),
                })
                .collect();
            match no {
                0 => writeln!(f, "{}", Style::of(f).dim(line.trim_end()))?,
                _ => writeln!(f, "{}", line.trim_end())?,
            }
        }
        let shown = self.dead_letters.len();
        if (shown as i64) < self.matching_count {
            let all = counted(self.matching_count, "dead letter", "dead letters");
            writeln!(
                f,
                "… these are {} of {all}: --limit shows more",
                count(shown as u64)
            )?;
        }
        Ok(())
    }
}

fn cells(letter: &DeadLetter) -> [String; 8] {
    [
        letter.id.to_string(),
        letter.status.clone(),
        letter.channel.clone(),
        letter.event_type.clone(),
        letter.to.clone(),
        format!("{} ago", time(letter.age_seconds)),
        count(letter.attempts_count),
        reason(letter),
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
            address: None,
            attempts_count: 6,
            reason: Some(reason.to_owned()),
            code: Some("503".to_owned()),
            occurred_at: DateTime::UNIX_EPOCH,
            finished_at: None,
            age_seconds: 7_500.0,
            matching_count: 0,
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
        insta::assert_snapshot!(list, @"
           id  status  channel  type             to                                         ended  tries  reason
            7  dead    webhook  alert_triggered  billing (https://hooks.example.com/…)  2h 5m ago      6  503 from the server
        12345  dead    email    alert_triggered  b…@example.com                         2h 5m ago      6  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
        … these are 2 of 1,204 dead letters: --limit shows more
        ");
    }
}
