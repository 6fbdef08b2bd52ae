//! One run: rescue what is stuck, then batch after batch until nothing is due, over one session or several.

use std::cell::RefCell;

use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::FanOutSettings;
use super::report::FanOutReport;
use super::steps::{FanOut, Step};
use crate::db::{Database, ErrorClass};

/// Why a run had to stop. What it had settled until then stays settled; of a batch in hand, what is
/// not settled is released with its attempt, or rescued by a later run.
#[derive(Debug, thiserror::Error)]
pub enum RunFailed {
    /// The database can't be reached (any more).
    #[error("the database is out of reach: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// The database refused a statement that concerns no single event.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for RunFailed {
    fn from(error: sqlx::Error) -> Self {
        match ErrorClass::of(&error) {
            ErrorClass::Unreachable => Self::Unreachable(error),
            _ => Self::Database(error),
        }
    }
}

/// Runs until nothing is due, or the time or the limit is reached, or `stop` is cancelled. The
/// batches in hand are finished as far as nothing stands in their way. `progress` is called after each.
///
/// What was done is in the report even where the run failed.
pub async fn run(
    database: &Database,
    settings: &FanOutSettings,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&FanOutReport),
) -> (FanOutReport, Result<(), RunFailed>) {
    // Several could only guess how many of a limit the others will have taken.
    let workers = settings.limit.map_or(settings.workers.max(1), |_| 1) as usize;
    let reports = Reports {
        each: RefCell::new(vec![FanOutReport::default(); workers]),
        progress: RefCell::new(progress),
    };
    let (is_more, is_over) = (Notify::new(), CancellationToken::new());
    let is_full = |events| events >= settings.batch_size as usize;
    let first = async {
        let fan_out = FanOut::new(database, settings, stop);
        let claimed = |events| {
            if is_full(events) {
                is_more.notify_one();
            }
        };
        let result = work(fan_out, &claimed, &reports, 0).await;
        is_over.cancel();
        result
    };
    // One batch is one session's: the others would connect for nothing.
    let others = async {
        tokio::select! {
            biased;
            () = is_more.notified() => {}
            () = is_over.cancelled() => return Vec::new(),
        }
        let working = (1..workers).map(|number| {
            let fan_out = FanOut::new(database, settings, stop).without_rescue();
            work(fan_out, &|_| {}, &reports, number)
        });
        join_all(working).await
    };
    let (result, results) = tokio::join!(first, others);
    let result = results.into_iter().fold(result, Result::and);
    (reports.sum(), result)
}

/// One session, until nothing is due.
async fn work(
    mut fan_out: FanOut<'_>,
    claimed: &dyn Fn(usize),
    reports: &Reports<'_>,
    number: usize,
) -> Result<(), RunFailed> {
    let result = until_empty(&mut fan_out, claimed, &mut |report| {
        reports.progress(number, report);
    })
    .await;
    let report = fan_out.end().await;
    reports.each.borrow_mut()[number] = report;
    result
}

async fn until_empty(
    fan_out: &mut FanOut<'_>,
    claimed: &dyn Fn(usize),
    progress: &mut dyn FnMut(&FanOutReport),
) -> Result<(), RunFailed> {
    while fan_out.may_claim() {
        match fan_out.step(claimed).await? {
            Step::Empty => return Ok(()),
            Step::Taken => progress(fan_out.report()),
        }
    }
    fan_out.stop_early(progress).await
}

/// The reports of all sessions.
struct Reports<'a> {
    each: RefCell<Vec<FanOutReport>>,
    progress: RefCell<&'a mut dyn FnMut(&FanOutReport)>,
}

impl Reports<'_> {
    fn progress(&self, number: usize, report: &FanOutReport) {
        self.each.borrow_mut()[number] = report.clone();
        (self.progress.borrow_mut())(&self.sum());
    }

    fn sum(&self) -> FanOutReport {
        let mut sum = FanOutReport::default();
        for report in self.each.borrow().iter() {
            sum.add(report);
        }
        sum
    }
}
