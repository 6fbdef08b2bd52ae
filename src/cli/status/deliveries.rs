//! Deliveries: what waits for which channel, and what keeps it from being sent.

use super::{Page, timed};
use crate::cli::human::{aligned, count, counted, time};
use crate::ops::status::{ChannelState, Deliveries, Target};

/// Deliveries that have been due for longer suggest that nothing is sent at all.
const LATE_SECONDS: f64 = 600.0;

const HEADINGS: [&str; 9] = [
    "",
    "due",
    "for",
    "paused",
    "scheduled",
    "sending",
    "dead",
    "uncertain",
    "sent in a day",
];

impl Page {
    pub(super) fn deliveries(&mut self, deliveries: &Deliveries) {
        let style = self.style;
        if deliveries.digest_recipients_count > 0 {
            let people = counted(deliveries.digest_recipients_count, "person", "people");
            self.more(format!(
                "the aggregated ones are for the next digests of {people}"
            ));
        }
        let channels = deliveries.channels.iter();
        let busy: Vec<_> = channels.filter(|state| !is_quiet(state)).collect();
        if busy.is_empty() {
            self.line("Deliveries", style.good("none pending"));
        } else {
            self.channels(&busy);
        }
        let sum =
            |figure: fn(&ChannelState) -> i64| busy.iter().map(|state| figure(state)).sum::<i64>();
        if sum(|state| state.dead_count + state.uncertain_count) > 0 {
            self.hint("dead and uncertain ones, and why: notify-fan-out dead-letters list");
        }
        if deliveries.is_last_day_capped {
            self.more(style.dim("of the last day only the latest were counted"));
        }
        let retrying = sum(|state| state.retrying_count);
        if retrying > 0 {
            let were = counted(retrying, "was", "were");
            self.more(format!("of those, {were} attempted before"));
        }
        let is_late = |state: &&ChannelState| {
            let age = state.oldest_due_age_seconds.unwrap_or(0.0);
            state.due_count > 0 && age >= LATE_SECONDS
        };
        if busy.iter().any(is_late) {
            self.hint(
                "if no deliver is running: does cron start it, and is the channel configured?",
            );
        }
        let expired = sum(|state| state.expired_leases_count);
        if expired > 0 {
            let leases = counted(expired, "lease has", "leases have");
            self.more(style.warn(&format!("{leases} expired: the sender died")));
            self.hint("the next notify-fan-out deliver reclaims them");
        }
        for target in &deliveries.targets {
            self.target(target);
        }
    }

    /// A table with a row for each channel.
    fn channels(&mut self, states: &[&ChannelState]) {
        let rows = states.iter().map(|state| {
            [
                state.channel.clone(),
                count(state.due_count),
                timed("", state.oldest_due_age_seconds, ""),
                count(state.paused_count),
                count(state.scheduled_count),
                count(state.sending_count),
                count(state.dead_count),
                count(state.uncertain_count),
                count(state.delivered_last_day_count),
            ]
        });
        let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned))
            .chain(rows)
            .collect();
        let mut lines = aligned(&rows, 1).into_iter();
        let heading = lines.next().unwrap_or_default();
        self.line("Deliveries", self.style.dim(&heading));
        lines.for_each(|line| self.more(line));
    }

    fn target(&mut self, target: &Target) {
        let style = self.style;
        let name = if target.name == target.channel {
            target.name.clone()
        } else {
            format!("{} ({})", target.name, target.channel)
        };
        if let Some(reason) = &target.disabled_reason {
            let since = timed(" for ", target.disabled_for_seconds, "");
            let reason = match reason.as_str() {
                "" => "no reason recorded",
                reason => reason,
            };
            let text = format!("{name} has been disabled{since}: {reason}");
            return self.more(style.bad(&text));
        }
        let failing = target.failing_for_seconds.map(|age| {
            let attempts = counted(target.failures_count, "attempt", "attempts");
            format!("has failed for {}, {attempts}", time(age))
        });
        let paused = target.paused_for_seconds;
        let paused = paused.map(|rest| format!("is paused for {}", time(rest)));
        let states: Vec<_> = failing.into_iter().chain(paused).collect();
        if !states.is_empty() {
            let error = target.last_error.as_ref();
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            let text = format!("{name} {}{error}", states.join(", and "));
            self.more(style.warn(&text));
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
