//! Numbers and times as people read them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A count with its thousands apart: `12,345`.
pub(super) fn count(number: impl Into<i128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with what is counted; `one` and `many` name it.
pub(super) fn counted(number: impl Into<i128>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A time in its two largest units: `0.4s`, `42s`, `3m 12s`, `2h 5m`, `12d 3h`.
pub(super) fn time(seconds: f64) -> String {
    if seconds.is_nan() || seconds < 0.0005 {
        return "0s".to_owned();
    }
    if seconds < 0.0995 {
        return format!("{:.0}ms", seconds * 1_000.0);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let whole = Duration::try_from_secs_f64(seconds.round())
        .unwrap_or(Duration::MAX)
        .as_secs();
    let (first, second) = match whole {
        86_400.. => ((whole / 86_400, "d"), (whole % 86_400 / 3_600, "h")),
        3_600.. => ((whole / 3_600, "h"), (whole % 3_600 / 60, "m")),
        60.. => ((whole / 60, "m"), (whole % 60, "s")),
        _ => ((whole, "s"), (0, "")),
    };
    match second {
        (0, _) => format!("{}{}", first.0, first.1),
        _ => format!("{}{} {}{}", first.0, first.1, second.0, second.1),
    }
}

/// A time of the clock, to the second.
pub(super) fn utc(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A line for each row, its cells as wide as the widest of their column; the first `left` columns are
/// aligned to the left, the others to the right.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]], left: usize) -> Vec<String> {
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| {
            if column < left {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let text: Vec<_> = [0, 999, 1_000, 12_345, 10_000_000].map(count).into();
        assert_eq!(text.join(" "), "0 999 1,000 12,345 10,000,000");
    }

    #[test]
    fn times_have_two_units() {
        let text = "-1 0 0.012 0.42 9.94 9.96 42 60 192.4 7500 86400 1047600 34000000";
        let seconds = text.split(' ').map(str::parse);
        let text: Vec<_> = seconds
            .map(|seconds| time(seconds.expect("a number")))
            .collect();
        insta::assert_snapshot!(text.join(", "), @"0s, 0s, 12ms, 0.4s, 9.9s, 10s, 42s, 1m, 3m 12s, 2h 5m, 1d, 12d 3h, 393d 12h");
    }

    #[test]
    fn cells_are_aligned_whatever_their_letters() {
        let rows = [["größe", "7", "x"], ["a", "1,000", "yz"]].map(|row| row.map(str::to_owned));
        insta::assert_snapshot!(aligned(&rows, 1).join("\n"), @"
        größe      7   x
        a      1,000  yz
        ");
    }
}
