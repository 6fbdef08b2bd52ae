//! What a run of `deliver` did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::channel::Kind;

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
    /// Leases that were no longer ours when it came to recording.
    pub lost_leases: u64,
    /// Endpoints that were disabled, and why.
    pub disabled: Vec<Disabled>,
    /// What waits for a way to be sent, if anything.
    pub waiting: Waiting,
    /// Whether the run ended before the queue was empty: time, limit or a signal.
    pub stopped_early: bool,
    /// How many messages came to which end, by channel, event type and status.
    #[serde(skip)]
    pub outcomes: BTreeMap<(Kind, String, &'static str), u64>,
    /// How many were put back.
    #[serde(skip)]
    pub retries: BTreeMap<Kind, u64>,
    /// How long each attempt took, in seconds.
    #[serde(skip)]
    pub durations: Vec<(Kind, f64)>,
}

/// An endpoint that was disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// `endpoint:ID`, or a route of the environment.
    pub target: String,
    /// What it had answered.
    pub reason: String,
}

/// Messages for which nothing is configured that could send them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Mails.
    pub mails: u64,
    /// Text messages.
    pub texts: u64,
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
        for (end, count) in step.outcomes {
            *self.outcomes.entry(end).or_default() += count;
        }
        for (kind, count) in step.retries {
            *self.retries.entry(kind).or_default() += count;
        }
        self.durations.extend(step.durations);
    }

    /// Messages that were looked at.
    pub(super) fn done(&self) -> u64 {
        self.delivered + self.retried + self.dead + self.uncertain + self.cancelled
    }
}
