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
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bounded(attempts in 0_u32.., jitter in -1.0_f64..2.0) {
            let delay = delay(attempts, jitter);
            prop_assert!(delay >= FIRST.mul_f64(0.9) && delay <= CAP);
        }
    }

    #[test]
    fn doubles_up_to_the_cap() {
        let minutes: Vec<_> = (1..9).map(|n| delay(n, 0.0).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
