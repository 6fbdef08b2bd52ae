//! Numbers and times as people read them.

use std::time::Duration;

/// A count with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
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
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let text: Vec<_> = [0, 999, 1_000, 12_345, 10_000_000].map(count).into();
        assert_eq!(text.join(" "), "0 999 1,000 12,345 10,000,000");
        assert_eq!(counted(1, "event", "events"), "1 event");
        assert_eq!(counted(2_000, "event", "events"), "2,000 events");
    }

    #[test]
    fn times_have_two_units() {
        let seconds = [
            -1.0,
            0.0,
            0.012,
            0.42,
            9.94,
            9.96,
            42.0,
            60.0,
            192.4,
            7_500.0,
            86_400.0,
            1_047_600.0,
            34_000_000.0,
        ];
        let text: Vec<_> = seconds.map(time).into();
        insta::assert_snapshot!(text.join(", "), @"0s, 0s, 12ms, 0.4s, 9.9s, 10s, 42s, 1m, 3m 12s, 2h 5m, 1d, 12d 3h, 393d 12h");
    }
}
