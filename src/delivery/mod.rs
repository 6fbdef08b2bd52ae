//! The second stage: what is queued leaves the building, at least once, with duplicates held off.
//!
//! Mails that wait are given a delivery each, those for a digest one together. Then, in short
//! transactions: what is due is leased, a few messages of each target, and what they say is read and
//! checked once more; they are sent while no transaction is open; and what became of them is
//! recorded, if the lease is still ours. A message is leased only when it can be sent at once, so
//! whatever kills the process leaves in doubt only what was on its way.

mod decide;
mod flight;
mod lease;
mod load;
mod mail;
mod people;
mod post;
mod preview;
mod promote;
mod record;
mod report;
mod run;
mod savepoint;
mod waiting;

pub use decide::Rules;
pub use people::phone_numbers;
pub use post::{Mail, Pace, Post};
pub use preview::{Audit, Previewed, Verdict, preview};
pub use report::{DeliveryCounts, DeliveryReport, Disabled, Left, Paused, Waiting};
pub use run::run;

use std::time::Duration;

/// How a run of `deliver` goes about its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Messages on their way at once.
    pub concurrency: u32,
    /// Of these, to one target.
    pub per_target: u32,
    /// Nothing is leased after this; what is on its way is waited for.
    pub max_runtime: Duration,
    /// At most this many messages in all.
    pub limit: Option<u64>,
    /// Length of the windows in each of which a person gets at most one digest. They begin with the
    /// day, in UTC.
    pub digest_every: Duration,
    /// What was never attempted and is older than this becomes a dead letter.
    pub max_age: Duration,
    /// Whether an in-app mute covers e-mail where no preference decides that.
    pub mute_covers_email: bool,
    /// What is done about failures.
    pub rules: Rules,
    /// Written beside each lease, for whoever looks into the table.
    pub sender_id: String,
}

/// What is paced and paused as one, where nothing else is said: mails.
const EMAIL: &str = "email";
/// Text messages.
const SMS: &str = "sms";
/// The event type of digests.
const DIGEST: &str = crate::templates::DIGEST;
