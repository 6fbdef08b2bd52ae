//! One run: rescue what is stuck, then batch after batch until nothing is due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Settings;
use super::claim::{Claim, claim};
use super::decode::DecodedEvent;
use super::report::{FanOutReport, MOST_COUNTED};
use super::requeue::Requeue;
use super::rescue::{Rescued, rescue};
use super::sweep::{Swept, sweep};
use super::write::Written;
use crate::db::{Access, Database, ErrorClass, Session, Transaction, Unnamed};

/// Pause before another try where another transaction was in the way.
pub(super) const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// At most this many events with a large audience wait while others are due.
const MOST_SET_ASIDE: usize = 4;

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
    settings: &Settings,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&FanOutReport),
) -> (FanOutReport, Result<(), RunFailed>) {
    let mut run = Run {
        database: &database.until(stop, settings.max_runtime),
        settings,
        session: None,
        report: FanOutReport::default(),
        set_aside: VecDeque::new(),
        is_swept: false,
        in_doubt: None,
        is_refusing: false,
    };
    let result = run.until_empty(stop, progress).await;
    if let Some(session) = run.session.take() {
        // The work is done; a server that is gone or silent by now needs no goodbye.
        let _ = tokio::time::timeout(Duration::from_secs(1), session.close()).await;
    }
    (run.report, result)
}

pub(super) struct Run<'a> {
    pub(super) database: &'a Database,
    pub(super) settings: &'a Settings,
    pub(super) session: Option<Session>,
    pub(super) report: FanOutReport,
    pub(super) set_aside: VecDeque<LargeEvent>,
    /// Whether all events were looked at for a processing row.
    is_swept: bool,
    /// What a transaction wrote whose `COMMIT` was not answered.
    pub(super) in_doubt: Option<Written>,
    /// Whether the database refused events of the last batch: it is asked first which of the next.
    pub(super) is_refusing: bool,
}

/// A claimed event whose audience is so large that it would keep others waiting.
pub(super) struct LargeEvent {
    pub(super) token: i64,
    pub(super) event: DecodedEvent,
    pub(super) since: Instant,
}

impl Run<'_> {
    async fn until_empty(
        &mut self,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<(), RunFailed> {
        let result = self.batches(stop, progress).await;
        let released = self
            .set_aside
            .drain(..)
            .map(|large| Requeue::released(large.event.event_id, large.token, None))
            .collect::<Vec<_>>();
        self.end_claims(&released, stop).await;
        if let (true, Some(session)) = (self.report.stopped_early, &mut self.session) {
            // Only for people: a run that can't count has done its work all the same.
            self.report.left = count_due(session).await.ok();
        }
        result
    }

    async fn batches(
        &mut self,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<(), RunFailed> {
        let (started, max_runtime) = (Instant::now(), self.settings.max_runtime);
        let is_over = || stop.is_cancelled() || started.elapsed() >= max_runtime;
        let mut first = true;
        loop {
            let left = self.left();
            if left == 0 || is_over() {
                // One a run at least, or they would wait for as long as there is other work.
                let mut again = !stop.is_cancelled();
                while again {
                    again = self.settle_large(stop, &is_over, progress).await? && !is_over();
                }
                self.report.stopped_early = true;
                return Ok(());
            }
            if self.set_aside.len() > MOST_SET_ASIDE
                || self
                    .set_aside
                    .front()
                    .is_some_and(|large| large.since.elapsed() >= self.settings.stuck_after / 2)
            {
                self.settle_large(stop, &is_over, progress).await?;
                continue;
            }
            let claim = match self.claim(first, left, stop).await {
                Ok(claim) => claim,
                Err(error) => match ErrorClass::of(&error) {
                    ErrorClass::Unreachable if self.session.is_some() => continue,
                    ErrorClass::Contended => {
                        tokio::time::sleep(CONTENDED_PAUSE).await;
                        continue;
                    }
                    _ => return Err(error.into()),
                },
            };
            first = false;
            if !claim.is_empty() {
                self.settle(claim.token, claim.events, stop, &is_over)
                    .await?;
                progress(&self.report);
            } else if !self.settle_large(stop, &is_over, progress).await? {
                return Ok(());
            }
        }
    }

    /// Writes the event that was set aside first, if there is one.
    async fn settle_large(
        &mut self,
        stop: &CancellationToken,
        is_over: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<bool, RunFailed> {
        let Some(LargeEvent { token, event, .. }) = self.set_aside.pop_front() else {
            return Ok(false);
        };
        self.settle(token, vec![event], stop, is_over).await?;
        progress(&self.report);
        Ok(true)
    }

    /// How many events the run may still take.
    fn left(&self) -> u64 {
        let done = self.report.settled() + self.set_aside.len() as u64;
        self.settings
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(done))
    }

    /// Claims the next batch. The first claim follows the rescue and the sweep, in one transaction.
    ///
    /// After an error there is a session, unless the database stays out of reach.
    async fn claim(
        &mut self,
        first: bool,
        at_most: u64,
        stop: &CancellationToken,
    ) -> Result<Claim, sqlx::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.database.connect().await?),
        };
        let settings = self.settings;
        let batch = u64::from(settings.batch_size);
        let oldest = at_most.min(batch);
        let companions = (at_most - oldest).min(batch);
        let is_swept = self.is_swept;
        let mut claimed = None;
        let claiming = async {
            let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
            let rescued = if first {
                Some(rescue(&mut transaction, settings).await?)
            } else {
                None
            };
            let swept = if is_swept {
                None
            } else {
                Some(sweep(&mut transaction).await?)
            };
            let (oldest, companions) = (oldest.cast_signed(), companions.cast_signed());
            let claim = claim(&mut transaction, settings, oldest, companions).await?;
            claimed = Some((rescued, swept, claim));
            transaction.commit().await
        };
        let result = claiming.await;
        if let Err(error) = result {
            let xid = claimed.as_ref().and_then(|(rescued, _, claim)| {
                let rescue = rescued.as_ref().and_then(|rescued| rescued.xid);
                claim.xid().or(rescue)
            });
            if ErrorClass::of(&error) != ErrorClass::Unreachable
                || !self.reconnect_to(xid, stop).await?
            {
                return Err(error);
            }
        }
        let Some((rescued, swept, claim)) = claimed else {
            return Err(sqlx::Error::PoolClosed);
        };
        let claim = claim.decode().await;
        self.count_claim(rescued, swept, &claim);
        Ok(claim)
    }

    /// Counts and logs what a claim found, and what preceded it.
    fn count_claim(&mut self, rescued: Option<Rescued>, swept: Option<Swept>, claim: &Claim) {
        if let Some(rescued) = rescued {
            self.report.rescued += rescued.requeued;
            self.report.failed += rescued.out_of_attempts;
            self.report.unhandled_types.extend(rescued.unhandled);
        }
        if let Some(swept) = swept {
            self.is_swept = !swept.is_full;
            self.report.enqueued += swept.added.unsigned_abs();
            if swept.added > 0 {
                tracing::info!(events = swept.added, "enqueued events that no trigger had");
            }
        }
        for event_id in &claim.expired {
            tracing::warn!(event_id, "expired: pending for longer than the age limit");
        }
        for event_id in &claim.gone {
            tracing::warn!(event_id, "the event is gone, or hidden from the job's role");
        }
        self.report.ignored += claim.ignored;
        self.report.expired += claim.expired.len() as u64;
        for event_type in &claim.expired_unhandled {
            let count = self.report.expired_unhandled.entry(event_type.clone());
            *count.or_default() += 1;
        }
        self.report.failed += claim.gone.len() as u64;
        self.report
            .unhandled_types
            .extend(claim.unhandled.iter().cloned());
    }

    /// Opens another connection, waiting for a server that is away. What a transaction wrote whose
    /// `COMMIT` was not answered, if it was committed all the same.
    pub(super) async fn reconnect(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<Option<Written>, sqlx::Error> {
        let in_doubt = self.in_doubt.take();
        let xid = in_doubt.as_ref().and_then(|written| written.xid);
        let is_committed = self.reconnect_to(xid, stop).await;
        if let (Err(_), Some(written)) = (&is_committed, &in_doubt) {
            tracing::warn!(
                events = written.report.settled(),
                "a COMMIT was not answered: whether these events are settled is not known, and they \
                 are not counted"
            );
        }
        is_committed.map(|is_committed| in_doubt.filter(|_| is_committed))
    }

    /// Opens another connection, and asks whether the transaction was committed, if one is given.
    async fn reconnect_to(
        &mut self,
        xid: Option<i64>,
        stop: &CancellationToken,
    ) -> Result<bool, sqlx::Error> {
        self.session = None;
        let (session, is_committed) = self.database.reconnect(stop, xid).await?;
        self.session = Some(session);
        Ok(is_committed)
    }
}

/// How many events are due, up to [`MOST_COUNTED`].
async fn count_due(session: &mut Session) -> Result<u64, sqlx::Error> {
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let due = due(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(due)
}

pub(super) async fn due(transaction: &mut Transaction<'_>) -> Result<u64, sqlx::Error> {
    let due = sqlx::query_file_scalar!("src/fan_out/count_due.sql", MOST_COUNTED.cast_signed())
        .fetch_one(Unnamed(transaction))
        .await?;
    Ok(due.unsigned_abs())
}
