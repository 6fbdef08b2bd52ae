//! Report of a run of `deliver`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::retry_policy::Next;
use crate::channels::Channel;

/// Counts of one run, or of the part of it that is done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DeliveryReport {
    /// Messages that the receiver accepted.
    pub delivered: u64,
    /// Deliveries requeued for another attempt.
    pub retried: u64,
    /// Deliveries that became dead letters.
    pub dead: u64,
    /// Messages that may have arrived, held for a person.
    pub uncertain: u64,
    /// Deliveries that were no longer wanted, or duplicates.
    pub cancelled: u64,
    /// E-mails promoted to deliveries, those of digests counted one by one.
    pub mails: u64,
    /// Digests made of them.
    pub digests: u64,
    /// Expired leases of workers that died.
    pub rescued: u64,
    /// Leases that expired before the result was recorded.
    pub lost_leases: u64,
    pub disabled: Vec<Disabled>,
    pub paused: Vec<Paused>,
    pub waiting: Waiting,
    /// Whether the run ended before the queue was empty: time, limit or a signal.
    pub stopped_early: bool,
    /// What was still due then.
    pub left: Left,
    /// For metrics.
    #[serde(skip)]
    pub counts: DeliveryCounts,
}

/// Counts of a run by channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeliveryCounts {
    /// Deliveries that ended: channel, event type, and `delivered`, `dead`, `uncertain` or `cancelled`.
    pub outcomes: BTreeMap<(Channel, String, &'static str), u64>,
    /// Deliveries requeued for another attempt.
    pub retries: BTreeMap<Channel, u64>,
    /// Seconds of each attempt.
    pub durations: Vec<(Channel, f64)>,
}

/// An endpoint that was disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// Its name, or that of a route of the environment.
    pub name: String,
    /// Its last answer.
    pub reason: String,
    /// How many pending messages were cancelled.
    pub cancelled: u64,
}

/// A paused target with due deliveries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Paused {
    /// `email`, `sms`, the name of an endpoint, or a route of the environment.
    pub name: String,
    /// Remaining.
    pub seconds: f64,
    /// Its last failure.
    pub reason: Option<String>,
    /// Messages that are due.
    pub messages: u64,
}

/// Messages without a transport.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    pub mails: u64,
    pub texts: u64,
}

/// What was due when a run ended early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// E-mails without a delivery, those of digests counted one by one.
    pub mails: u64,
    pub deliveries: u64,
}

impl DeliveryReport {
    /// Whether there was nothing to do.
    pub fn is_idle(&self) -> bool {
        self.done() + self.mails + self.rescued + self.lost_leases == 0
    }

    /// Adds the report of a step.
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
        for (channel, count) in step.counts.retries {
            *self.counts.retries.entry(channel).or_default() += count;
        }
        self.counts.durations.extend(step.counts.durations);
    }

    /// Counts deliveries of one event type with the same result.
    pub(super) fn count(&mut self, channel: Channel, event_type: &str, next: Next, messages: u64) {
        let counter = match next {
            Next::Delivered => &mut self.delivered,
            Next::Retry { .. } => &mut self.retried,
            Next::Dead => &mut self.dead,
            Next::Cancelled => &mut self.cancelled,
            Next::Uncertain => &mut self.uncertain,
        };
        *counter += messages;
        *if let Next::Retry { .. } = next {
            self.counts.retries.entry(channel).or_default()
        } else {
            let end = (channel, event_type.to_owned(), next.status().name());
            self.counts.outcomes.entry(end).or_default()
        } += messages;
    }

    /// Deliveries that were processed.
    pub(crate) fn done(&self) -> u64 {
        self.delivered + self.retried + self.dead + self.uncertain + self.cancelled
    }
}
