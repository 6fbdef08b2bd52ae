//! How often a waiting daemon looks, and when it may sleep.

use std::time::{Duration, Instant};

/// The shortest pause between two looks.
pub(super) const SHORTEST: Duration = Duration::from_millis(5);
/// Above this rate the daemon does not sleep: a NOTIFY in many commits would make them wait for each
/// other, and a look finds something nearly each time.
const BUSY_EVENTS_PER_SECOND: f64 = 150.0;
/// A look comes after this part of the time that has passed without work. Where nothing wakes the
/// daemon the looks are the latency; else they only cover transactions that were open when it fell asleep.
const PART_POLLING: u32 = 20;
const PART_LISTENING: u32 = 4;

/// What happened lately.
#[derive(Debug)]
pub(super) struct Pace {
    longest: Duration,
    last_work: Instant,
    events_per_second: f64,
    counted_at: Instant,
}

impl Pace {
    pub(super) fn new(longest: Duration, now: Instant) -> Self {
        Self {
            longest,
            last_work: now,
            events_per_second: 0.0,
            counted_at: now,
        }
    }

    /// Counts events that were claimed.
    pub(super) fn worked(&mut self, events: u64, now: Instant) {
        self.decay(now);
        self.events_per_second += f64::from(u32::try_from(events).unwrap_or(u32::MAX));
        self.last_work = now;
    }

    /// Whether so much comes in that sleeping would cost the application more than looking.
    pub(super) fn is_busy(&mut self, now: Instant) -> bool {
        self.decay(now);
        self.events_per_second > BUSY_EVENTS_PER_SECOND
    }

    /// Time without work.
    pub(super) fn since_work(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_work)
    }

    /// The pause before the next look.
    pub(super) fn pause(&self, is_listening: bool, now: Instant) -> Duration {
        let part = if is_listening {
            PART_LISTENING
        } else {
            PART_POLLING
        };
        (self.since_work(now) / part).clamp(SHORTEST.min(self.longest), self.longest)
    }

    /// Older events count for less: for a third after a second.
    fn decay(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.events_per_second *= (-seconds).exp();
        self.counted_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn looks_become_rarer_while_nothing_happens() {
        let start = Instant::now();
        let pace = Pace::new(SECOND, start);
        let pauses = |is_listening| {
            [0, 100, 1_000, 10_000, 100_000].map(|ms| {
                let now = start + Duration::from_millis(ms);
                pace.pause(is_listening, now).as_millis()
            })
        };
        assert_eq!(pauses(true), [5, 25, 250, 1_000, 1_000]);
        assert_eq!(pauses(false), [5, 5, 50, 500, 1_000]);
    }

    #[test]
    fn much_work_keeps_the_daemon_awake_for_a_while() {
        let start = Instant::now();
        let mut pace = Pace::new(SECOND, start);
        for step in 0..100 {
            pace.worked(1, start + step * Duration::from_millis(10));
        }
        let end = start + SECOND;
        assert!(!pace.is_busy(end), "100 a second");
        pace.worked(1_000, end);
        assert!(pace.is_busy(end + SECOND));
        assert!(!pace.is_busy(end + 3 * SECOND));
    }
}
