//! Events: what waits, works, failed, and was completed.

use std::fmt::Write as _;

use super::page::Page;
use super::waits;
use crate::cli::human::{count, counted, time};
use crate::ops::excerpt;
use crate::ops::status::{Backlog, Failed, Ignored, Processing, Window};

/// A backlog older than this suggests that the job does not run at all.
const LATE_SECONDS: f64 = 300.0;
/// Types named of a kind of failure.
const MOST_TYPES: usize = 3;

impl Page {
    pub(super) fn backlog(&mut self, backlog: &Backlog) {
        let style = self.style;
        let late = backlog
            .oldest_due_age_seconds
            .filter(|_| backlog.due_count > 0);
        let due = format!("{} due", count(backlog.due_count));
        match late {
            None => self.line("Backlog", &style.good("nothing is due")),
            Some(age) if age < LATE_SECONDS => {
                self.line("Backlog", &format!("{due}, the oldest {} old", time(age)));
            }
            Some(age) => {
                self.line(
                    "Backlog",
                    &style.warn(&format!("{due}, the oldest {} old", time(age))),
                );
                self.hint("if no run is active: does cron start notify-fan-out run?");
            }
        }
        if backlog.scheduled_count > 0 {
            let first = backlog
                .next_due_in_seconds
                .map_or_else(String::new, |wait| {
                    format!(", the first for {}", time(wait))
                });
            self.line(
                "",
                &format!("{} for their time{first}", waits(backlog.scheduled_count)),
            );
        }
        if backlog.retrying_count > 0 {
            self.line(
                "",
                &format!(
                    "{} of these {} attempted before",
                    count(backlog.retrying_count),
                    if backlog.retrying_count == 1 {
                        "was"
                    } else {
                        "were"
                    }
                ),
            );
        }
        for of_type in &backlog.without_handler {
            let text = format!(
                "{} for a handler of {}, the oldest {} old, expires in {}",
                waits(of_type.count),
                of_type.event_type,
                time(of_type.oldest_age_seconds),
                time(of_type.expires_in_seconds),
            );
            self.line("", &style.warn(&text));
        }
        if !backlog.without_handler.is_empty() {
            self.hint("a newer binary that handles the type claims them automatically; NOTIFY_FANOUT_IGNORE_TYPES completes those that nobody wants");
        }
    }

    pub(super) fn processing(&mut self, processing: &Processing) {
        if processing.count == 0 {
            self.line("Processing", "none");
        } else if processing.stuck_count == 0 {
            self.line("Processing", &count(processing.count));
        } else {
            let oldest = processing
                .oldest_stuck_age_seconds
                .map_or_else(String::new, |age| format!(", the oldest for {}", time(age)));
            let stuck = self
                .style
                .bad(&format!("{} stuck{oldest}", count(processing.stuck_count)));
            self.line(
                "Processing",
                &format!("{}, of these {stuck}", count(processing.count)),
            );
            self.hint("their worker died; the next notify-fan-out run reclaims them");
        }
    }

    pub(super) fn ignored(&mut self, ignored: &Ignored) {
        if ignored.event_types.is_empty() {
            return;
        }
        let line = format!(
            "{}; {} completed without effect in the last day",
            ignored.event_types.join(", "),
            count(ignored.last_day_count)
        );
        self.line("Ignored", &line);
    }

    pub(super) fn failed(&mut self, failed: &Failed) {
        let style = self.style;
        if failed.count == 0 {
            self.line("Failed", &style.good("none"));
            return;
        }
        self.line("Failed", &style.bad(&count(failed.count)));
        let width = failed
            .kinds
            .iter()
            .map(|kind| count(kind.count).len())
            .max()
            .unwrap_or(0);
        for kind in &failed.kinds {
            let error = if kind.error.is_empty() {
                "(no reason recorded)"
            } else {
                &kind.error
            };
            self.line("", &format!("{:>width$}  {error}", count(kind.count)));
            let mut types = kind
                .event_types
                .iter()
                .take(MOST_TYPES)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            if kind.event_types.len() > MOST_TYPES {
                let _ = write!(types, " and {} more", kind.event_types.len() - MOST_TYPES);
            }
            let detail = format!(
                "{types}, as event {}; the latest {} ago",
                kind.example_event_id,
                time(kind.latest_age_seconds)
            );
            self.line("", &format!("{:>width$}  {}", "", style.dim(&detail)));
        }
        let hidden = failed.kinds_count.saturating_sub(failed.kinds.len() as u64);
        if hidden > 0 {
            self.line(
                "",
                &style.dim(&format!(
                    "… and {}",
                    counted(hidden, "more kind of error", "more kinds of errors")
                )),
            );
        }
        // Notifications of events that were too old are seldom wanted later.
        let (expired, fixable): (Vec<_>, Vec<_>) = failed
            .kinds
            .iter()
            .map(|kind| kind.error.as_str())
            .partition(|error| error.starts_with("expired"));
        if !fixable.is_empty() {
            let example = fixable
                .into_iter()
                .find(|error| excerpt::says_something(error));
            let which = example.map_or_else(
                || "--help".to_owned(),
                |error| format!("--error {}", shell_quoted(error)),
            );
            self.hint(&format!("once fixed: notify-fan-out retry {which}"));
        }
        if !expired.is_empty() {
            self.hint(
                "expired events that are no longer wanted: notify-fan-out discard --error expired",
            );
        }
    }

    pub(super) fn window(&mut self, heading: &str, window: &Window) {
        if window.completed_count == 0 {
            self.line(heading, "nothing completed");
            return;
        }
        let rate = if window.completed_per_second >= 10.0 {
            format!("{:.0}/s", window.completed_per_second)
        } else {
            format!("{:.1}/min", window.completed_per_second * 60.0)
        };
        let completed = if window.is_capped {
            format!(
                "the latest {} completed took {}, {rate}",
                count(window.completed_count),
                time(window.seconds)
            )
        } else {
            format!("{} completed, {rate}", count(window.completed_count))
        };
        let latency = match (
            window.latency_p50_seconds,
            window.latency_p95_seconds,
            window.latency_p99_seconds,
        ) {
            (Some(p50), Some(p95), Some(p99)) => format!(
                "; latency p50 {}, p95 {}, p99 {}",
                time(p50),
                time(p95),
                time(p99)
            ),
            _ => String::new(),
        };
        self.line(heading, &format!("{completed}{latency}"));
    }
}

/// As one word of a shell's command line.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
