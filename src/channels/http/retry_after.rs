//! When to try again, as the other side says.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// No wish is granted for longer.
const CAP: Duration = Duration::from_hours(24);

/// The value of a `Retry-After`: seconds (RFC 9110, 10.2.3; some write a fraction), or a date in
/// any of the three forms of HTTP. A date that has passed is no delay at all; what is neither is
/// no wish.
pub(super) fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return from_seconds(seconds);
    }
    Some(until(date(value)?, now))
}

/// A date in any of the three forms of HTTP.
pub(super) fn date(value: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(value).ok().map(DateTime::from)
}

/// What is left until a time.
pub(in crate::channels) fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).to_std().unwrap_or_default().min(CAP)
}

/// A number of seconds, unless it is none.
pub(in crate::channels) fn from_seconds(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return None;
    }
    Some(Duration::from_secs_f64(seconds.min(CAP.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, delay) in [
            ("120", seconds(120)),
            (" 0.65 ", Some(Duration::from_millis(650))),
            ("Sat, 21 Nov 2026 10:00:30 GMT", seconds(30)),
            ("Saturday, 21-Nov-26 10:00:30 GMT", seconds(30)),
            ("Sat, 21 Nov 2026 09:00:00 GMT", seconds(0)),
            ("Mon, 21 Dec 2026 10:00:00 GMT", Some(CAP)),
            ("1e300", Some(CAP)),
            ("inf", Some(CAP)),
            ("", None),
            ("-1", None),
            ("NaN", None),
            ("tomorrow, 10:00", None),
        ] {
            assert_eq!(parse(value, now), delay, "{value}");
        }
    }
}
