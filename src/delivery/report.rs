//! What a run of `deliver` did.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decide::Next;
use crate::channels::Channel;

/// Counts of one run, or of the part of it that is done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DeliveryReport {
    /// Messages that were taken.
    pub delivered: u64,
    /// Messages put back for another attempt.
    pub retried: u64,
    /// Messages that became dead letters.
    pub dead: u64,
    /// Messages that may have arrived, and wait for a person.
    pub uncertain: u64,
    /// Messages that were no longer wanted, or a repetition.
    pub cancelled: u64,
    /// Mails that were given a delivery, those of digests each by itself.
    pub mails: u64,
    /// Digests made of them.
    pub digests: u64,
    /// Leases taken from senders that are gone.
    pub rescued: u64,
    /// Leases that had ended before what became of their messages was recorded.
    pub lost_leases: u64,
    /// Endpoints that were disabled, and why.
    pub disabled: Vec<Disabled>,
    /// Targets that are left alone for now although something is due.
    pub paused: Vec<Paused>,
    /// What waits for a way to be sent, if anything.
    pub waiting: Waiting,
    /// Whether the run ended before the queue was empty: time, limit or a signal.
    pub stopped_early: bool,
    /// What was due then.
    pub left: Left,
    /// The same in particular, for metrics.
    #[serde(skip)]
    pub counts: DeliveryCounts,
}

/// What a run of `deliver` did, by channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeliveryCounts {
    /// Messages that came to an end: channel, event type, and `delivered`, `dead`, `uncertain` or
    /// `cancelled`.
    pub outcomes: BTreeMap<(Channel, String, &'static str), u64>,
    /// Messages put back for another attempt.
    pub retries: BTreeMap<Channel, u64>,
    /// How long each attempt took, in seconds.
    pub durations: Vec<(Channel, f64)>,
}

/// An endpoint that was disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// Its name, or that of a route of the environment.
    pub name: String,
    /// What it had answered.
    pub reason: String,
    /// How many messages waited for it, and are cancelled.
    pub cancelled: u64,
}

/// A target that is left alone for now although something is due.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paused {
    /// `email`, `sms`, the name of an endpoint, or a route of the environment.
    pub name: String,
    /// For how many seconds more.
    pub seconds: f64,
    /// Its last failure, if there was one.
    pub reason: Option<String>,
    /// How many messages are due.
    pub messages: u64,
}

/// Messages for which nothing is configured that could send them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Mails.
    pub mails: u64,
    /// Text messages.
    pub texts: u64,
}

/// What was due when a run ended early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Mails that have no delivery yet, those of digests each by itself.
    pub mails: u64,
    /// Deliveries.
    pub deliveries: u64,
}

impl DeliveryReport {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.done() + self.mails + self.rescued + self.lost_leases == 0
    }

    /// Adds what a step did.
    pub(super) fn add(&mut self, step: Self) {
        self.delivered += step.delivered;
        self.retried += step.retried;
        self.dead += step.dead;
        self.uncertain += step.uncertain;
        self.cancelled += step.cancelled;
        self.mails += step.mails;
        self.digests += step.digests;
        self.rescued += step.rescued;
        self.lost_leases += step.lost_leases;
        self.disabled.extend(step.disabled);
        for (end, count) in step.counts.outcomes {
            *self.counts.outcomes.entry(end).or_default() += count;
        }
        for (kind, count) in step.counts.retries {
            *self.counts.retries.entry(kind).or_default() += count;
        }
        self.counts.durations.extend(step.counts.durations);
    }

    /// Counts messages of one type that came to the same: an end, or another attempt.
    pub(super) fn count(&mut self, kind: Channel, event_type: &str, next: Next, messages: u64) {
        let counter = match next {
            Next::Delivered => &mut self.delivered,
            Next::Retry { .. } => &mut self.retried,
            Next::Dead => &mut self.dead,
            Next::Cancelled => &mut self.cancelled,
            Next::Uncertain => &mut self.uncertain,
        };
        *counter += messages;
        *if let Next::Retry { .. } = next {
            self.counts.retries.entry(kind).or_default()
        } else {
            let end = (kind, event_type.to_owned(), next.status());
            self.counts.outcomes.entry(end).or_default()
        } += messages;
    }

    /// Messages that were looked at.
    pub(super) fn done(&self) -> u64 {
        self.delivered + self.retried + self.dead + self.uncertain + self.cancelled
    }
}
