//! When a failed attempt is made again.

use std::time::Duration;

/// Delay after the first failed attempt.
pub const FIRST: Duration = Duration::from_mins(1);
/// No delay is longer, jitter included.
pub const CAP: Duration = Duration::from_hours(1);

/// The delay before the next attempt, after `attempts` have failed (at least 1).
///
/// It doubles from [`FIRST`] and stays at or below [`CAP`]. `jitter`, drawn by the caller from
/// 0.0 ..= 1.0, shortens it by up to a tenth, so that events that failed together do not return
/// together, and a later attempt still never waits less than an earlier one.
pub fn delay(attempts: u32, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let full = FIRST.saturating_mul(1 << doublings).min(CAP);
    full.mul_f64(1.0 - 0.1 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let seconds = |jitter| (0..9).map(move |n| delay(n, jitter).as_secs());
        assert!(seconds(0.0).eq([60, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]));
        assert!(seconds(1.0).eq([54, 54, 108, 216, 432, 864, 1_728, 3_240, 3_240]));
        assert!(seconds(2.0).eq(seconds(1.0)));
        assert_eq!(delay(u32::MAX, -1.0), CAP);
    }
}
