//! Events and e-mails: what waits, works, failed, and was completed.

use super::{Page, timed};
use crate::cli::human::{count, counted, time};
use crate::ops::bulk::is_distinctive;
use crate::ops::status::{
    Backlog, Failed, FailureKind, Ignored, PendingEmails, Processing, Window,
};

/// A backlog older than this suggests that the job does not run at all.
const LATE_SECONDS: f64 = 300.0;
/// Types named of a kind of failure.
const MOST_TYPES: usize = 3;

impl Page {
    pub(super) fn backlog(&mut self, backlog: &Backlog) {
        let style = self.style;
        let age = backlog.oldest_due_age_seconds;
        match age.filter(|_| backlog.due_count > 0) {
            None => self.line("Backlog", style.good("nothing is due")),
            Some(age) => {
                let due = count(backlog.due_count);
                let due = format!("{due} due, the oldest {} old", time(age));
                if age < LATE_SECONDS {
                    self.line("Backlog", due);
                } else {
                    self.line("Backlog", style.warn(&due));
                    self.hint("if no run is active: does cron start notify-fan-out run?");
                }
            }
        }
        if backlog.scheduled_count > 0 {
            let first = timed(", the first for ", backlog.next_due_in_seconds, "");
            let waiting = waits(backlog.scheduled_count);
            self.more(format!("{waiting} for their time{first}"));
        }
        if backlog.retrying_count > 0 {
            let were = counted(backlog.retrying_count, "of these was", "of these were");
            self.more(format!("{were} attempted before"));
        }
        for of_type in backlog.without_handler.iter() {
            let text = format!(
                "{} for a handler of {}, the oldest {} old, expires in {}",
                waits(of_type.count),
                of_type.event_type,
                time(of_type.oldest_age_seconds),
                time(of_type.expires_in_seconds),
            );
            self.more(style.warn(&text));
        }
        if !backlog.without_handler.is_empty() {
            self.hint("a newer binary that handles the type claims them automatically; NOTIFY_FANOUT_IGNORE_TYPES completes those that nobody wants");
        }
    }

    pub(super) fn processing(&mut self, processing: &Processing) {
        let all = count(processing.count);
        if processing.count == 0 {
            self.line("Processing", "none");
        } else if processing.stuck_count == 0 {
            self.line("Processing", all);
        } else {
            let oldest = timed(", the oldest for ", processing.oldest_stuck_age_seconds, "");
            let stuck = format!("{} stuck{oldest}", count(processing.stuck_count));
            let stuck = self.style.bad(&stuck);
            self.line("Processing", format!("{all}, of these {stuck}"));
            self.hint("their worker died; the next notify-fan-out run reclaims them");
        }
    }

    pub(super) fn ignored(&mut self, ignored: &Ignored) {
        if !ignored.event_types.is_empty() {
            let types = ignored.event_types.join(", ");
            let number = count(ignored.last_day_count);
            let text = format!("{types}; {number} completed without effect in the last day");
            self.line("Ignored", text);
        }
    }

    pub(super) fn failed(&mut self, failed: &Failed) {
        let style = self.style;
        if failed.count == 0 {
            return self.line("Failed", style.good("none"));
        }
        self.line("Failed", style.bad(&count(failed.count)));
        let widths = failed.kinds.iter().map(|kind| count(kind.count).len());
        let width = widths.max().unwrap_or(0);
        for kind in failed.kinds.iter() {
            self.failure(kind, width);
        }
        let hidden = failed
            .kinds_count
            .saturating_sub_unsigned(failed.kinds.len() as u64);
        if hidden > 0 {
            let more = counted(hidden, "more kind of error", "more kinds of errors");
            self.more(style.dim(&format!("… and {more}")));
        }
        // Notifications of events that were too old are seldom wanted later.
        let errors = failed.kinds.iter().map(|kind| kind.error.as_str());
        let (expired, fixable): (Vec<_>, Vec<_>) =
            errors.partition(|error| error.starts_with("expired"));
        if !fixable.is_empty() {
            let mut examples = fixable.into_iter();
            let example = examples.find(|error| is_distinctive(error));
            let example = example.map(|error| format!("--error {}", shell_quoted(error)));
            let which = example.as_deref().unwrap_or("--help");
            self.hint(format!("once fixed: notify-fan-out retry {which}"));
        }
        if !expired.is_empty() {
            self.hint(
                "expired events that are no longer wanted: notify-fan-out discard --error expired",
            );
        }
    }

    fn failure(&mut self, kind: &FailureKind, width: usize) {
        let error = match kind.error.as_str() {
            "" => "(no reason recorded)",
            error => error,
        };
        self.more(format!("{:>width$}  {error}", count(kind.count)));
        let (named, others) = kind
            .event_types
            .split_at(kind.event_types.len().min(MOST_TYPES));
        let mut types = named.join(", ");
        if !others.is_empty() {
            types = format!("{types} and {} more", others.len());
        }
        let detail = format!(
            "{types}, as event {}; the latest {} ago",
            kind.example_event_id,
            time(kind.latest_age_seconds)
        );
        self.more(format!("{:>width$}  {}", "", self.style.dim(&detail)));
    }

    pub(super) fn emails(&mut self, emails: &PendingEmails) {
        let all = emails.immediate_count + emails.aggregated_count;
        if all == 0 {
            return self.line("E-mails", "none wait to be sent");
        }
        let text = format!(
            "{} to be sent ({} immediate, {} aggregated){}",
            waits(all),
            count(emails.immediate_count),
            count(emails.aggregated_count),
            timed(", the oldest ", emails.oldest_age_seconds, " old")
        );
        self.line("E-mails", text);
    }

    pub(super) fn window(&mut self, heading: &str, window: &Window) {
        if window.completed_count == 0 {
            return self.line(heading, "nothing completed");
        }
        let number = count(window.completed_count);
        let completed = if window.is_capped {
            let seconds = time(window.seconds);
            format!("the latest {number} completed took {seconds}")
        } else {
            format!("{number} completed")
        };
        let rate = if window.completed_per_second >= 10.0 {
            format!("{:.0}/s", window.completed_per_second)
        } else {
            format!("{:.1}/min", window.completed_per_second * 60.0)
        };
        let latency = [
            timed("; latency p50 ", window.latency_p50_seconds, ""),
            timed(", p95 ", window.latency_p95_seconds, ""),
            timed(", p99 ", window.latency_p99_seconds, ""),
        ];
        self.line(heading, format!("{completed}, {rate}{}", latency.concat()));
    }
}

fn waits(number: i64) -> String {
    counted(number, "waits", "wait")
}

/// As one word of a shell's command line.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
