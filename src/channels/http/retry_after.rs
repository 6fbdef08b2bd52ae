//! When to try again, as the other side says.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// No wish is granted for longer.
pub(in crate::channels) const CAP: Duration = Duration::from_hours(24);

/// The value of a `Retry-After`: seconds (RFC 9110, 10.2.3; some write a fraction), or a date in
/// any of the three forms of HTTP. A date that has passed is no delay at all; what is neither is
/// no wish.
pub(in crate::channels) fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return from_seconds(seconds);
    }
    Some(until(date(value)?, now))
}

/// A date in any of the three forms of HTTP.
pub(in crate::channels) fn date(value: &str) -> Option<DateTime<Utc>> {
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
    use proptest::prelude::*;

    #[test]
    fn every_form() {
        let now = "2026-11-21T10:00:00Z".parse().expect("a time");
        let parse = |value: &str| super::parse(value, now);
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(parse("120"), seconds(120));
        assert_eq!(parse(" 0.65 "), Some(Duration::from_millis(650)));
        assert_eq!(parse("Sat, 21 Nov 2026 10:00:30 GMT"), seconds(30));
        assert_eq!(parse("Saturday, 21-Nov-26 10:00:30 GMT"), seconds(30));
        assert_eq!(parse("Sat Nov 21 10:00:30 2026"), seconds(30));
        assert_eq!(parse("Sat, 21 Nov 2026 09:00:00 GMT"), seconds(0));
        assert_eq!(parse("Mon, 21 Dec 2026 10:00:00 GMT"), seconds(86_400));
        for capped in ["1e300", "inf", "99999999999999999999999"] {
            assert_eq!(parse(capped), Some(CAP), "{capped}");
        }
        for none in ["", "-1", "NaN", "soon", "tomorrow, 10:00"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn never_beyond_the_cap(value in "\\PC{0,40}|[0-9]{1,40}", now in 0_i64..4_000_000_000) {
            let now = DateTime::from_timestamp(now, 0).expect("a time");
            prop_assert!(parse(&value, now).is_none_or(|delay| delay <= CAP));
        }
    }
}
