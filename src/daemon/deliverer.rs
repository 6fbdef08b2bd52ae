//! The delivery.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::health::Part;
use super::hub::Hub;
use super::{ANSWERS_WITHIN, IDLE_LONG, Reports};
use crate::db::{Database, said};
use crate::delivery::{DeliverySettings, Run, Sender};

/// Expired leases and old deliveries are looked for this often.
const MAINTAIN_EVERY: Duration = Duration::from_mins(10);
/// What is due and was not sent is tried again after this, as another worker may hold it, and ever more rarely
/// while nothing is done: a newer version may have to send it.
const HELD_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_HELD_PAUSE: Duration = Duration::from_mins(1);

/// Delivers until it is stopped; then messages in flight are awaited.
pub(super) async fn deliver(
    database: &Database,
    sender: Sender,
    settings: &DeliverySettings,
    hub: &Hub,
    reports: &dyn Reports,
    stop: &CancellationToken,
) {
    let mut run = Run::new(database, sender, settings, stop, Some(hub.delivery()));
    let mut backoff = Backoff::new();
    let mut idle_since = Instant::now();
    let mut maintained: Option<Instant> = None;
    let mut next: Option<Duration> = None;
    let mut held_pause = HELD_PAUSE;
    loop {
        tokio::select! {
            () = hub.delivery().notified() => {}
            () = sleep(next) => {}
            () = stop.cancelled() => break,
        }
        let maintain =
            maintained.is_none_or(|at| at.elapsed() >= MAINTAIN_EVERY) || hub.take_reclaim();
        if idle_since.elapsed() >= IDLE_LONG {
            run.check_session(ANSWERS_WITHIN).await;
        }
        let started = Instant::now();
        let result = async {
            run.pass(maintain, &mut |_| {}).await?;
            run.next_due().await
        }
        .await;
        idle_since = Instant::now();
        let report = run.take_report();
        if report.done() > 0 || result.is_err() {
            reports.delivery(&report, started.elapsed().as_secs_f64(), result.is_ok());
        }
        match result {
            Ok(due) => {
                if maintain {
                    maintained = Some(Instant::now());
                }
                hub.health.works(Part::Delivery);
                backoff.reset();
                let is_held = due.is_some_and(|seconds| seconds < 0.0) && report.done() == 0;
                held_pause = if is_held {
                    (held_pause * 2).min(LONGEST_HELD_PAUSE)
                } else {
                    HELD_PAUSE
                };
                next =
                    due.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(held_pause));
            }
            Err(error) => {
                hub.health.fails(Part::Delivery, &said(&error));
                maintained = None;
                next = Some(backoff.next());
            }
        }
    }
    run.close().await;
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
