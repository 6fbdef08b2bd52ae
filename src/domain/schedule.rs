//! When a message that was not taken is tried again.

use std::str::FromStr;
use std::time::Duration;

/// Longest list of delays.
const MOST: usize = 50;
/// Longest delay, and the longest that a target may ask for.
pub const LONGEST: Duration = Duration::from_hours(24);
/// A delay differs by up to this share of it, either way.
const JITTER: f64 = 0.1;

/// The delays before the second, third … attempt. When they are spent, so is the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 50 times such as 5m, 30m, 2h, each from 1s to 24h")]
pub struct InvalidSchedule;

impl Schedule {
    /// For mails and text messages: 5 retries within 38 h 35 min.
    pub fn patient() -> Self {
        Self([5, 30, 120, 720, 1_440].map(Duration::from_mins).into())
    }

    /// For chats and webhooks, which mostly come back at once: the same after a fast start.
    pub fn eager() -> Self {
        let start = [5, 10, 20, 40, 80].map(Duration::from_secs);
        let delays = start.into_iter().chain(Self::patient().0);
        Self(delays.collect())
    }

    /// The delay after `attempts` have failed (at least 1); `None` when no attempt is left. `jitter`,
    /// drawn by the caller from 0.0 ..= 1.0, moves it by up to a tenth, so that what failed together
    /// does not return together.
    pub fn delay(&self, attempts: u32, jitter: f64) -> Option<Duration> {
        let place = usize::try_from(attempts.max(1) - 1).ok()?;
        let share = 1.0 + JITTER * (2.0 * jitter.clamp(0.0, 1.0) - 1.0);
        self.0.get(place).map(|delay| delay.mul_f64(share))
    }

    pub fn attempts(&self) -> u32 {
        u32::try_from(self.0.len()).map_or(u32::MAX, |retries| retries + 1)
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let delays = text.split(',').map(|delay| {
            humantime::parse_duration(delay.trim())
                .ok()
                .filter(|delay| (Duration::from_secs(1)..=LONGEST).contains(delay))
                .ok_or(InvalidSchedule)
        });
        let delays: Vec<_> = delays.collect::<Result<_, _>>()?;
        if delays.len() > MOST {
            return Err(InvalidSchedule);
        }
        Ok(Self(delays))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(schedule: &Schedule) -> String {
        let delays = (1..).map_while(|attempts| schedule.delay(attempts, 0.5));
        let delays: Vec<_> = delays
            .map(|delay| humantime::format_duration(delay).to_string())
            .collect();
        delays.join(", ")
    }

    #[test]
    fn schedules() {
        insta::assert_snapshot!(delays(&Schedule::patient()), @"5m, 30m, 2h, 12h, 1day");
        insta::assert_snapshot!(delays(&Schedule::eager()), @"5s, 10s, 20s, 40s, 1m 20s, 5m, 30m, 2h, 12h, 1day");
        let own: Schedule = " 1s,90s , 1h 30m".parse().expect("a schedule");
        insta::assert_snapshot!(delays(&own), @"1s, 1m 30s, 1h 30m");
        assert_eq!(own.attempts(), 4);
        let long = vec!["1s"; 51].join(",");
        for bad in ["", "5", "0s", "999ms", "25h", "5m,,1h", "5m;1h", &long] {
            assert_eq!(bad.parse::<Schedule>(), Err(InvalidSchedule), "{bad}");
        }
    }

    #[test]
    fn jitter_is_a_tenth_either_way() {
        let schedule = Schedule::patient();
        for (jitter, seconds) in [(-1.0, 270), (0.0, 270), (1.0, 330), (2.0, 330)] {
            let delay = schedule.delay(1, jitter);
            assert_eq!(delay, Some(Duration::from_secs(seconds)), "{jitter}");
        }
        assert_eq!(schedule.delay(0, 0.5), schedule.delay(1, 0.5));
        assert_eq!(schedule.delay(u32::MAX, 0.5), None);
    }
}
