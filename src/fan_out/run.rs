//! One run: rescue what is stuck, then batch after batch until nothing is due.

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
/// batch in hand is finished as far as nothing stands in its way. `progress` is called after each batch.
///
/// What was done is in the report even where the run failed.
pub async fn run(
    database: &Database,
    settings: &FanOutSettings,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&FanOutReport),
) -> (FanOutReport, Result<(), RunFailed>) {
    let mut fan_out = FanOut::new(database, settings, stop);
    let result = until_empty(&mut fan_out, progress).await;
    (fan_out.end().await, result)
}

async fn until_empty(
    fan_out: &mut FanOut<'_>,
    progress: &mut dyn FnMut(&FanOutReport),
) -> Result<(), RunFailed> {
    while fan_out.may_claim() {
        match fan_out.step().await? {
            Step::Empty => return Ok(()),
            Step::Taken => progress(fan_out.report()),
        }
    }
    fan_out.stop_early(progress).await
}
