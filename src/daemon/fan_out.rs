//! The workers of the fan-out.

use std::time::Instant;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::health::Part;
use super::hub::{Cause, Hub};
use super::{ANSWERS_WITHIN, IDLE_LONG, Reports};
use crate::db::{Database, said};
use crate::fan_out::{FanOut, FanOutSettings, RunFailed, Step};

/// Works until it is stopped. `is_direct`: where notifications arrive, statements can be kept, too.
pub(super) async fn work(
    database: &Database,
    is_direct: bool,
    settings: &FanOutSettings,
    hub: &Hub,
    reports: &dyn Reports,
    stop: &CancellationToken,
) {
    let connect = || FanOut::new(database, settings, stop).without_rescue();
    let workers = (0..settings.workers).map(async |_| {
        let mut fan_out = connect();
        let mut backoff = Backoff::new();
        let mut idle_since = Instant::now();
        loop {
            tokio::select! {
                () = hub.fan_out_woken() => {}
                () = stop.cancelled() => break,
            }
            let started = Instant::now();
            fan_out.keep_statements(is_direct && hub.is_listening());
            if hub.take_maintenance() {
                fan_out.rescue_again();
            }
            let in_hand = hub.begin_work();
            if idle_since.elapsed() >= IDLE_LONG {
                fan_out.check_session(ANSWERS_WITHIN).await;
            }
            let result = until_empty(&mut fan_out, settings, hub).await;
            drop(in_hand);
            idle_since = Instant::now();
            let report = fan_out.take_report();
            if !report.is_idle() || result.is_err() {
                reports.fan_out(&report, started.elapsed().as_secs_f64(), result.is_ok());
            }
            if report.emails + report.deliveries > 0 {
                hub.wake_delivery();
            }
            let Err(RunFailed::Unreachable(error) | RunFailed::Database(error)) = result else {
                hub.health.works(Part::FanOut);
                backoff.reset();
                continue;
            };
            hub.health.fails(Part::FanOut, &said(&error));
            std::mem::replace(&mut fan_out, connect()).end().await;
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = stop.cancelled() => break,
            }
            // What is stuck by then may be its own.
            hub.ask_for_maintenance();
            hub.wake_fan_out(Cause::Start);
        }
        fan_out.end().await;
    });
    join_all(workers).await;
}

async fn until_empty(
    fan_out: &mut FanOut<'_>,
    settings: &FanOutSettings,
    hub: &Hub,
) -> Result<(), RunFailed> {
    let claimed = |events| {
        hub.pace().worked(events as u64, Instant::now());
        if events >= settings.batch_size as usize {
            hub.wake_fan_out(Cause::Handover);
        }
    };
    while fan_out.may_claim() {
        if fan_out.step(&claimed).await? == Step::Empty {
            break;
        }
    }
    Ok(())
}
