//! Signals between the parts of a daemon.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::pace::Pace;
use crate::metrics::DaemonState;

/// What wakes a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The daemon connected.
    Start,
    /// A notification of the trigger.
    Notify,
    /// A look at the tables.
    Poll,
    /// The other stage queued something, or a batch was full.
    Handover,
}

impl Cause {
    const ALL: [Self; 4] = [Self::Start, Self::Notify, Self::Poll, Self::Handover];

    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Notify => "notify",
            Self::Poll => "poll",
            Self::Handover => "handover",
        }
    }
}

/// A worker has something in hand.
#[must_use]
pub(super) struct Work<'a>(&'a Hub);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.is_idle.notify_one();
    }
}

/// Shared by all parts of a daemon.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(super) health: Health,
    /// Wakes one worker of the fan-out.
    fan_out: Notify,
    /// Wakes the delivery.
    delivery: Notify,
    /// Tells the watcher that a worker found nothing more.
    pub(super) is_idle: Notify,
    busy: AtomicU32,
    is_maintenance_due: AtomicBool,
    pace: Mutex<Pace>,
    is_listening: AtomicBool,
    is_connected: CancellationToken,
    has_expired_lease: AtomicBool,
    wake_ups: [AtomicU64; Cause::ALL.len()],
}

impl Hub {
    pub(crate) fn new(longest_pause: Duration) -> Self {
        Self {
            health: Health::default(),
            fan_out: Notify::new(),
            delivery: Notify::new(),
            is_idle: Notify::new(),
            busy: AtomicU32::new(0),
            is_maintenance_due: AtomicBool::new(true),
            pace: Mutex::new(Pace::new(longest_pause, Instant::now())),
            is_listening: AtomicBool::new(false),
            is_connected: CancellationToken::new(),
            has_expired_lease: AtomicBool::new(false),
            wake_ups: [const { AtomicU64::new(0) }; Cause::ALL.len()],
        }
    }

    /// Waits until the database was first asked, or it is to stop.
    pub(super) async fn first_ready(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.is_connected.cancelled() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Why the daemon is not ready; empty if it is.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.health.problems()
    }

    pub(super) fn wake_fan_out(&self, cause: Cause) {
        self.wake_ups[cause as usize].fetch_add(1, Ordering::Relaxed);
        self.fan_out.notify_one();
    }

    pub(super) fn wake_delivery(&self) {
        self.delivery.notify_one();
    }

    /// Makes the next worker reclaim what is stuck and enqueue what no trigger did.
    pub(super) fn ask_for_maintenance(&self) {
        self.is_maintenance_due.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_maintenance(&self) -> bool {
        self.is_maintenance_due.swap(false, Ordering::Relaxed)
    }

    pub(super) async fn fan_out_woken(&self) {
        self.fan_out.notified().await;
    }

    /// Wakes the delivery.
    pub(super) fn delivery(&self) -> &Notify {
        &self.delivery
    }

    /// Makes the delivery reclaim expired leases.
    pub(super) fn ask_for_reclaim(&self) {
        self.has_expired_lease.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_reclaim(&self) -> bool {
        self.has_expired_lease.swap(false, Ordering::Relaxed)
    }

    /// A worker has something in hand until the value is dropped.
    pub(super) fn begin_work(&self) -> Work<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Work(self)
    }

    /// Whether no worker has anything in hand.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }

    pub(super) fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Whether notifications arrive.
    pub(super) fn is_listening(&self) -> bool {
        self.is_listening.load(Ordering::Relaxed)
    }

    pub(super) fn set_listening(&self, is_listening: bool) {
        self.is_listening.store(is_listening, Ordering::Relaxed);
        self.is_connected.cancel();
        if is_listening {
            tracing::info!("waiting for events: listening for notifications");
        } else {
            tracing::info!("waiting for events: polling");
        }
    }

    /// How the daemon is, for its metrics.
    pub(crate) fn state(&self) -> DaemonState {
        let counts = self
            .wake_ups
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        DaemonState {
            is_ready: self.problems().is_empty(),
            is_listening: self.is_listening(),
            wake_ups: Cause::ALL
                .map(Cause::name)
                .into_iter()
                .zip(counts)
                .collect(),
            seconds_since_last_claim: self.pace().since_work(Instant::now()).as_secs_f64(),
            busy_workers: self.busy.load(Ordering::Relaxed),
        }
    }
}
