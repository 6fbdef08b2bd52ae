//! A delivery that this process may send until its lease expires.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::DIGEST;
use crate::channels::Channel;

#[derive(Debug, Clone)]
pub(super) struct Leased {
    pub(super) id: i64,
    /// Identifies it to the receiver.
    pub(super) key: Uuid,
    pub(super) token: i64,
    pub(super) channel: Channel,
    pub(super) target: String,
    pub(super) recipient: String,
    pub(super) user_id: Option<Uuid>,
    pub(super) endpoint_id: Option<Uuid>,
    pub(super) event_type: String,
    /// JSON.
    pub(super) message: String,
    pub(super) occurred_at: DateTime<Utc>,
    /// This one included.
    pub(super) attempts: i32,
    /// Or requeued.
    pub(super) queued_at: DateTime<Utc>,
    /// The first attempt after that.
    pub(super) tried_since: Option<DateTime<Utc>>,
    /// Consecutive failures of its target.
    pub(super) failures: i32,
    /// The database's time as it was leased.
    pub(super) now: DateTime<Utc>,
    /// The transaction that leased it.
    pub(super) xid: i64,
}

impl Leased {
    pub(super) fn is_digest(&self) -> bool {
        self.event_type == DIGEST
    }

    /// Whether its target is a transport for all recipients rather than one receiver.
    pub(super) fn is_shared(&self) -> bool {
        self.channel.is_shared() && self.target == self.channel.name()
    }

    /// Whether it waited too long to be of use.
    pub(super) fn is_expired(&self, max_age: Duration) -> bool {
        let age = (self.now - self.queued_at).to_std().unwrap_or_default();
        self.attempts <= 1 && age > max_age
    }

    /// Since the first attempt.
    pub(super) fn tried_for(&self) -> Duration {
        let tried_for = self.tried_since.map(|since| self.now - since);
        tried_for
            .and_then(|time| time.to_std().ok())
            .unwrap_or_default()
    }
}
