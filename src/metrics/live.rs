//! The metrics of a process that goes on, for scraping.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::daemon::{self, DaemonState};
use super::registry::Registry;
use super::{ask, delivery, fan_out};
use crate::db::Database;
use crate::delivery::DeliveryReport;
use crate::fan_out::FanOutReport;

/// Gauges that are read from the tables are at most this old; several scrapers don't cost more than one.
const FRESH: Duration = Duration::from_secs(10);

/// Counters since the start, and gauges as they last were.
pub(crate) struct Live {
    database: Database,
    fan_out: Mutex<Registry>,
    delivery: Mutex<Registry>,
    asked: Mutex<Option<Instant>>,
}

impl Live {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            fan_out: Mutex::new(Registry::from_text(fan_out::METRICS, "")),
            delivery: Mutex::new(Registry::from_text(delivery::METRICS, "")),
            asked: Mutex::new(None),
        }
    }

    /// Adds a pass of the fan-out.
    pub(crate) fn fan_out(&self, report: &FanOutReport, seconds: f64, succeeded: bool) {
        fan_out::add_run(&mut locked(&self.fan_out), report, seconds, succeeded);
    }

    /// Adds a pass of the delivery.
    pub(crate) fn delivery(&self, report: &DeliveryReport, seconds: f64, succeeded: bool) {
        delivery::add_run(
            &mut locked(&self.delivery),
            &report.counts,
            seconds,
            succeeded,
        );
    }

    /// All of it, in Prometheus' text format. While the database is away the gauges keep what they were.
    pub(crate) async fn text(&self, state: &DaemonState) -> String {
        let is_fresh = locked(&self.asked).is_some_and(|at| at.elapsed() < FRESH);
        if state.is_ready && !is_fresh {
            *locked(&self.asked) = Some(Instant::now());
            if let Some(backlog) = ask(&self.database, fan_out::backlog).await {
                fan_out::set_backlog(&mut locked(&self.fan_out), &backlog, true);
            }
            if let Some(queue) = ask(&self.database, delivery::queue).await {
                delivery::set_queue(&mut locked(&self.delivery), &queue, true);
            }
        }
        let (fan_out, delivery) = (
            locked(&self.fan_out).to_text(),
            locked(&self.delivery).to_text(),
        );
        [fan_out, delivery, daemon::text(state)].concat()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
