//! Delivery: sends queued e-mails, chat messages, webhooks and SMS at least once.
//!
//! Queued e-mails are promoted: each becomes a delivery, those of a digest one together. Then, in short
//! transactions, due deliveries are leased, a few of each target, and their contents are read and
//! checked once more; they are sent with no transaction open; and the results are recorded, if the lease
//! is still ours. A delivery is leased only when it can be sent at once, so a killed process leaves only
//! the messages in flight in doubt.

mod circuit_breaker;
mod dry_run;
mod email;
mod finished;
mod in_flight;
mod lease;
mod leased;
mod load;
mod people;
mod promote;
mod record;
mod report;
mod retry_policy;
mod run;
mod sender;
mod states;
mod waiting;

pub use dry_run::{DryRunDelivery, DryRunOutcome, dry_run};
pub use email::EmailSender;
pub use people::phone_numbers;
pub use report::{DeliveryCounts, DeliveryReport, Disabled, Left, Paused, Waiting};
pub use retry_policy::RetryPolicy;
pub use run::{Run, run};
pub use sender::{Pace, Sender};
#[cfg(test)]
pub(crate) use states::{Code, DeliveryStatus, Outcome};

use std::time::Duration;

/// Settings of a run of `deliver`.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// Messages in flight at once.
    pub concurrency: u32,
    /// Of these, to one target.
    pub per_target: u32,
    /// Nothing is leased after this; messages in flight are awaited.
    pub max_runtime: Duration,
    /// At most this many messages in all.
    pub limit: Option<u64>,
    /// Length of the windows, counted from midnight UTC; a recipient gets at most one digest in each.
    pub digest_every: Duration,
    /// A delivery that was not attempted within this time becomes a dead letter.
    pub max_age: Duration,
    /// Whether an in-app mute covers e-mail where no preference decides that.
    pub mute_covers_email: bool,
    pub(crate) retry_policy: RetryPolicy,
    /// Stored with each lease, for operators who look into the table.
    pub worker_id: String,
}

/// The target of all e-mails to people.
const EMAIL: &str = "email";
/// The target of all text messages to people.
const SMS: &str = "sms";
/// The event type of digests.
const DIGEST: &str = crate::templates::DIGEST;
