//! The first stage: from committed events to notifications and queued e-mails.
//!
//! Two short transactions a batch. The first claims events and spends an attempt of each. The
//! second proves that the claim still holds, writes what the handlers plan and settles the events:
//! all of it or nothing. Whatever kills the process in between costs the events an attempt and a
//! wait for rescue, never a notification.

mod claim;
mod coalesce;
mod decode;
mod dry_run;
mod explain;
mod holders;
mod isolate;
mod large_audience;
mod names;
mod outcome;
mod plan;
mod probe;
mod report;
mod requeue;
mod rescue;
mod resolve;
mod routed;
mod run;
mod settle;
mod steps;
mod sweep;
mod write;

pub use dry_run::{Audit, DryEndpoint, DryEvent, DryRecipient, EventOutcome, dry_run};
pub use explain::{Candidate, ChannelDecision, Explanation, RoutedEndpoint, explain};
pub use outcome::{EndpointOutcome, Outcome, PreferenceStatus, Reason};
pub use report::{FanOutReport, MOST_COUNTED};
pub use run::{RunFailed, run};
pub use steps::{FanOut, Step};

use std::time::Duration;

use crate::channels::Channel;
use crate::handlers::Rendering;

/// How a run goes about its work.
#[derive(Debug, Clone)]
pub struct FanOutSettings {
    /// Events claimed at once, oldest first. Up to as many again join them that are due in the
    /// same threads.
    pub batch_size: u32,
    /// Pending events older than this fail, with the reason `expired`.
    pub max_event_age: Duration,
    /// A claim older than this belongs to a worker that died.
    pub stuck_after: Duration,
    /// Attempts before an event fails.
    pub max_attempts: u32,
    /// No batch is claimed after this.
    pub max_runtime: Duration,
    /// Sessions of a run, each with a batch of its own.
    pub workers: u32,
    /// At most this many events in all.
    pub limit: Option<u64>,
    /// Names of types whose events complete without effect.
    pub ignored_types: Vec<String>,
    /// Written beside each claim, for whoever looks into the table.
    pub processor_id: String,
    /// Endpoints that have no row: the routes of the environment, by channel and name.
    pub routes: Vec<(Channel, String)>,
    /// Whether an in-app mute covers e-mail where no preference decides that.
    pub mute_covers_email: bool,
    /// How notifications are written for the application.
    pub rendering: Rendering,
}
