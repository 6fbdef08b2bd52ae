//! Deliveries: what waits for which channel, and what keeps it from being sent.

use std::fmt::Write as _;

use super::page::Page;
use crate::cli::human::{count, counted, time};
use crate::ops::status::{ChannelState, Deliveries, Target};

/// Deliveries that have been due for longer suggest that nothing is sent at all.
const LATE_SECONDS: f64 = 600.0;

/// Heading and figure of each column.
type Column = (&'static str, fn(&ChannelState) -> String);

const COLUMNS: [Column; 8] = [
    ("due", |state| count(state.due_count)),
    ("for", |state| {
        state.oldest_due_age_seconds.map_or_else(String::new, time)
    }),
    ("paused", |state| count(state.paused_count)),
    ("scheduled", |state| count(state.scheduled_count)),
    ("sending", |state| count(state.sending_count)),
    ("dead", |state| count(state.dead_count)),
    ("uncertain", |state| count(state.uncertain_count)),
    ("sent in a day", |state| {
        count(state.delivered_last_day_count)
    }),
];

impl Page {
    pub(super) fn deliveries(&mut self, deliveries: &Deliveries) {
        let style = self.style;
        if deliveries.digest_recipients_count > 0 {
            let people = counted(deliveries.digest_recipients_count, "person", "people");
            self.line(
                "",
                &format!("the aggregated ones are for the next digests of {people}"),
            );
        }
        let busy: Vec<_> = deliveries
            .channels
            .iter()
            .filter(|state| !is_quiet(state))
            .collect();
        if busy.is_empty() {
            self.line("Deliveries", &style.good("none pending"));
        } else {
            self.channels(&busy);
        }
        let sum =
            |figure: fn(&ChannelState) -> u64| busy.iter().map(|state| figure(state)).sum::<u64>();
        if sum(|state| state.dead_count + state.uncertain_count) > 0 {
            self.hint("dead and uncertain ones, and why: notify-fan-out dead-letters list");
        }
        if deliveries.is_last_day_capped {
            self.line(
                "",
                &style.dim("of the last day only the latest were counted"),
            );
        }
        let retrying = sum(|state| state.retrying_count);
        if retrying > 0 {
            let were = if retrying == 1 { "was" } else { "were" };
            self.line(
                "",
                &format!("of those, {} {were} attempted before", count(retrying)),
            );
        }
        let is_late = |state: &&ChannelState| {
            state.due_count > 0
                && state
                    .oldest_due_age_seconds
                    .is_some_and(|age| age >= LATE_SECONDS)
        };
        if busy.iter().any(is_late) {
            self.hint(
                "if no deliver is running: does cron start it, and is the channel configured?",
            );
        }
        let expired = sum(|state| state.expired_leases_count);
        if expired > 0 {
            let leases = counted(expired, "lease has", "leases have");
            self.line(
                "",
                &style.warn(&format!("{leases} expired: the sender died")),
            );
            self.hint("the next notify-fan-out deliver reclaims them");
        }
        for target in &deliveries.targets {
            self.target(target);
        }
    }

    /// A table with a row for each channel.
    fn channels(&mut self, states: &[&ChannelState]) {
        let style = self.style;
        let name_width = states
            .iter()
            .map(|state| state.channel.len())
            .max()
            .unwrap_or(0);
        let widths = COLUMNS.map(|(heading, figure)| {
            let figures = states.iter().map(|state| figure(state).len());
            figures.max().unwrap_or(0).max(heading.len())
        });
        let mut heading = " ".repeat(name_width);
        for ((name, _), width) in COLUMNS.iter().zip(widths) {
            let _ = write!(heading, "  {name:>width$}");
        }
        self.line("Deliveries", &style.dim(&heading));
        for state in states {
            let mut row = format!("{:<name_width$}", state.channel);
            for ((_, figure), width) in COLUMNS.iter().zip(widths) {
                let _ = write!(row, "  {:>width$}", figure(state));
            }
            self.line("", &row);
        }
    }

    fn target(&mut self, target: &Target) {
        let style = self.style;
        let name = if target.name == target.channel {
            target.name.clone()
        } else {
            format!("{} ({})", target.name, target.channel)
        };
        let error = |text: String| match &target.last_error {
            Some(error) => format!("{text}: {error}"),
            None => text,
        };
        if let Some(reason) = &target.disabled_reason {
            let since = target
                .disabled_for_seconds
                .map_or_else(String::new, |age| format!(" for {}", time(age)));
            let reason = if reason.is_empty() {
                "no reason recorded"
            } else {
                reason
            };
            let text = format!("{name} has been disabled{since}: {reason}");
            self.line("", &style.bad(&text));
            return;
        }
        let mut states = Vec::new();
        if let Some(age) = target.failing_for_seconds {
            let times = counted(target.failures_count, "attempt", "attempts");
            states.push(format!("has failed for {}, {times}", time(age)));
        }
        if let Some(rest) = target.paused_for_seconds {
            states.push(format!("is paused for {}", time(rest)));
        }
        if !states.is_empty() {
            let text = error(format!("{name} {}", states.join(", and ")));
            self.line("", &style.warn(&text));
        }
    }
}

/// Whether there is nothing to say of a channel.
fn is_quiet(state: &ChannelState) -> bool {
    let nothing = ChannelState {
        channel: state.channel.clone(),
        ..ChannelState::default()
    };
    *state == nothing
}
