//! What a run did.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::latency::Latencies;

/// Events that are still due are counted up to here: what it costs stays small.
pub const MOST_COUNTED: u64 = 100_000;

/// Counts of one run, or of the part of it that is done.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct FanOutReport {
    pub batches: u64,
    pub events: u64,
    pub notifications: u64,
    /// Events merged into a notification that was still unread, per recipient.
    pub merged: u64,
    pub emails: u64,
    /// Deliveries queued for endpoints and phone numbers.
    pub deliveries: u64,
    /// Candidates skipped by a preference, a missing right or an earlier notification, and deliveries
    /// suppressed by a dedup key. Actors are not counted.
    pub suppressed: u64,
    /// Events that failed for good.
    pub failed: u64,
    /// Events requeued for another attempt.
    pub retried: u64,
    /// Claimed events that could not be written for a reason outside of them: pending again, without
    /// an attempt spent.
    pub released: u64,
    /// Claims reclaimed from workers that died.
    pub rescued: u64,
    /// Events that failed because of their age.
    pub expired: u64,
    /// Events completed without effect, because their type is ignored.
    pub ignored: u64,
    /// Events that expired before there was a handler of their type: how many of each.
    pub expired_unhandled: BTreeMap<String, u64>,
    /// Events that the trigger missed and the run enqueued.
    pub enqueued: u64,
    /// Claims that were reset before their events were written.
    pub lost_claims: u64,
    /// Types of due events without a handler.
    pub unhandled_types: BTreeSet<String>,
    /// Whether the run ended before the queue was empty: time, limit or a signal.
    pub stopped_early: bool,
    /// Events that were due when it ended early, at most [`MOST_COUNTED`].
    pub left: Option<u64>,
    /// From occurrence to completion, in seconds, of the events that completed.
    #[serde(skip)]
    pub latencies: Latencies,
}

impl FanOutReport {
    /// Whether there was nothing to do.
    pub fn is_idle(&self) -> bool {
        self.settled() + self.rescued == 0
    }

    /// Events that the run claimed, whatever their result.
    pub(crate) fn settled(&self) -> u64 {
        self.events
            + self.failed
            + self.retried
            + self.released
            + self.expired
            + self.ignored
            + self.expired_unhandled_count()
            + self.lost_claims
    }

    /// Events that expired before there was a handler of their type.
    pub(crate) fn expired_unhandled_count(&self) -> u64 {
        self.expired_unhandled.values().sum()
    }

    /// Adds what a part of the run did.
    pub(crate) fn add(&mut self, part: &Self) {
        self.batches += part.batches;
        self.events += part.events;
        self.notifications += part.notifications;
        self.merged += part.merged;
        self.emails += part.emails;
        self.deliveries += part.deliveries;
        self.suppressed += part.suppressed;
        self.failed += part.failed;
        self.retried += part.retried;
        self.released += part.released;
        self.rescued += part.rescued;
        self.expired += part.expired;
        self.ignored += part.ignored;
        self.enqueued += part.enqueued;
        self.lost_claims += part.lost_claims;
        for (event_type, count) in &part.expired_unhandled {
            *self
                .expired_unhandled
                .entry(event_type.clone())
                .or_default() += count;
        }
        self.unhandled_types
            .extend(part.unhandled_types.iter().cloned());
        self.stopped_early |= part.stopped_early;
        // All sessions count the same queue.
        self.left = self.left.max(part.left);
        self.latencies.add(&part.latencies);
    }
}
