//! `dead-letters list`.

use std::fmt;

use clap::Args;

use super::hint;
use crate::cli::human::{count, time};
use crate::cli::output::Style;
use crate::cli::{Exit, ExitStatus, connect, database_failure, output};
use crate::config::{Config, Format};
use crate::ops::bulk::Filter;
use crate::ops::dead_letters::{DeadLetter, List, list};

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

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let refused = |error| database_failure(&database, error);
    let Arguments {
        filter,
        limit,
        oldest_first,
    } = arguments;
    let list = list(&mut session, &filter, oldest_first, limit);
    let list = list.await.map_err(refused)?;
    output::emit(&list, format)?;
    if format == Format::Text && list.dead_letters.is_empty() {
        let hint = hint(&mut session, &filter).await.map_err(refused)?;
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
        let shown = self.dead_letters.len() as u64;
        if shown < self.matching_count.unsigned_abs() {
            let (shown, all) = (count(shown), count(self.matching_count));
            writeln!(
                f,
                "… these are {shown} of {all} dead letters: --limit shows more"
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

    #[test]
    fn a_reason_is_one_line_and_cut() {
        let letter = DeadLetter {
            reason: Some(format!("503 from\nthe server{}", "!".repeat(200))),
            ..DeadLetter::default()
        };
        let reason = reason(&letter);
        assert!(
            reason.starts_with("503 from the server!") && reason.ends_with("!…"),
            "{reason}"
        );
        assert_eq!(reason.chars().count(), REASON_WIDTH);
    }
}
