//! The session of a run, and its steps: rescue, sweep, claim a batch, settle it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::FanOutSettings;
use super::claim::{Claim, Undecoded, claim};
use super::decode::DecodedEvent;
use super::report::{FanOutReport, MOST_COUNTED};
use super::requeue::Requeue;
use super::rescue::rescue;
use super::run::RunFailed;
use super::sweep::sweep;
use super::write::Written;
use crate::db::{Access, Database, ErrorClass, Session, Transaction, Unnamed};

/// Pause before another try where another transaction was in the way.
pub(super) const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// Up to this many events, planning their statements takes longer than running them.
const SMALL_BATCH: usize = 20;
/// At most this many events with a large audience wait while others are due.
const MOST_SET_ASIDE: usize = 4;

/// When no more work is begun.
#[derive(Debug, Clone)]
pub(super) struct Until {
    stop: CancellationToken,
    started: Instant,
    max_runtime: Duration,
}

impl Until {
    pub(super) fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.started.elapsed() >= self.max_runtime
    }
}

/// Fans out over one session, step by step, and counts what it does.
#[derive(Debug)]
pub struct FanOut<'a> {
    pub(super) database: Database,
    pub(super) settings: &'a FanOutSettings,
    pub(super) until: Until,
    /// None before the first step, and while the database stays out of reach.
    pub(super) session: Option<Session>,
    pub(super) report: FanOutReport,
    set_aside: VecDeque<LargeEvent>,
    /// Up to this many events are written by statements whose plans are kept.
    kept_events: usize,
    is_rescued: bool,
    /// Whether all events were looked at for a processing row.
    is_swept: bool,
    /// Whether the database refused events of the last batch: it is asked first which of the next.
    pub(super) is_refusing: bool,
}

/// A claimed event whose audience is so large that it would keep others waiting.
#[derive(Debug)]
struct LargeEvent {
    token: i64,
    event: DecodedEvent,
    since: Instant,
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is due any more.
    Empty,
    /// Events were taken; there may be more.
    Taken,
}

impl<'a> FanOut<'a> {
    /// Connects at the first step. No step begins after `stop`, or after the settings' runtime.
    pub fn new(
        database: &Database,
        settings: &'a FanOutSettings,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            database: database.until(stop, settings.max_runtime),
            settings,
            until: Until {
                stop: stop.clone(),
                started: Instant::now(),
                max_runtime: settings.max_runtime,
            },
            session: None,
            report: FanOutReport::default(),
            set_aside: VecDeque::new(),
            kept_events: 0,
            is_rescued: false,
            is_swept: false,
            is_refusing: false,
        }
    }

    /// Leaves stuck claims, and events that no trigger enqueued, to another session.
    #[must_use]
    pub fn without_rescue(mut self) -> Self {
        (self.is_rescued, self.is_swept) = (true, true);
        self
    }

    /// Whether small batches may be written by statements whose plans are kept: the connection has to lead to the
    /// same server process at all times.
    pub(crate) fn keep_statements(&mut self, keep: bool) {
        self.kept_events = if keep { SMALL_BATCH } else { 0 };
    }

    /// Drops a session that does not answer within this time.
    pub(crate) async fn check_session(&mut self, within: Duration) {
        if let Some(session) = &mut self.session
            && !session.answers(within).await
        {
            self.session = None;
        }
    }

    /// What was done so far.
    pub fn report(&self) -> &FanOutReport {
        &self.report
    }

    /// What was done since this was last asked.
    pub(crate) fn take_report(&mut self) -> FanOutReport {
        std::mem::take(&mut self.report)
    }

    /// Whether another batch may be claimed: neither the limit nor the time is reached.
    pub fn may_claim(&self) -> bool {
        self.left() > 0 && !self.until.is_over()
    }

    /// Has the next claim look again for stuck claims, and for events that no trigger enqueued.
    pub fn rescue_again(&mut self) {
        (self.is_rescued, self.is_swept) = (false, false);
    }

    /// Claims a batch and settles it. Where nothing else is due, or they have waited for long, an event
    /// with a large audience is settled. `claimed` is called with the number of events of a claim, before they
    /// are settled.
    pub async fn step(&mut self, claimed: &dyn Fn(usize)) -> Result<Step, RunFailed> {
        let lease = self.settings.stuck_after / 2;
        let mut since = self.set_aside.iter().map(|large| large.since);
        let is_urgent = since.next().is_some_and(|since| since.elapsed() >= lease);
        if is_urgent || self.set_aside.len() > MOST_SET_ASIDE {
            self.settle_large().await?;
            return Ok(Step::Taken);
        }
        match self.claim().await {
            Ok(claim) if !claim.is_empty => {
                claimed(claim.events.len());
                self.settle(claim.token, claim.events).await?;
            }
            Ok(_) if self.settle_large().await? => {}
            Ok(_) => return Ok(Step::Empty),
            Err(error) => match ErrorClass::of(&error) {
                ErrorClass::Unreachable if self.session.is_some() => {}
                ErrorClass::Contended => tokio::time::sleep(CONTENDED_PAUSE).await,
                _ => return Err(error.into()),
            },
        }
        Ok(Step::Taken)
    }

    /// Settles the event that was set aside first, if there is one.
    async fn settle_large(&mut self) -> Result<bool, RunFailed> {
        let Some(LargeEvent { token, event, .. }) = self.set_aside.pop_front() else {
            return Ok(false);
        };
        self.settle(token, vec![event]).await?;
        Ok(true)
    }

    /// Sets events of a claim aside, which were begun at `since`.
    pub(super) fn set_aside(
        &mut self,
        token: i64,
        since: Instant,
        events: impl Iterator<Item = DecodedEvent>,
    ) {
        self.set_aside.extend(events.map(|event| LargeEvent {
            token,
            event,
            since,
        }));
    }

    /// Ends early. One large audience a run at least is settled, or they would wait for as long as there
    /// is other work.
    pub async fn stop_early(
        &mut self,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<(), RunFailed> {
        let mut again = !self.until.stop.is_cancelled();
        while again && self.settle_large().await? {
            progress(&self.report);
            again = !self.until.is_over();
        }
        self.report.stopped_early = true;
        Ok(())
    }

    /// Releases what was set aside, and ends the session.
    pub async fn end(mut self) -> FanOutReport {
        let set_aside = self.set_aside.drain(..);
        let released = set_aside
            .map(|large| Requeue::released(large.event.event_id, large.token, None))
            .collect::<Vec<_>>();
        self.end_claims(&released).await;
        if let Some(mut session) = self.session {
            if self.report.stopped_early {
                // Only for people: a run that can't count has done its work all the same.
                self.report.left = count_due(&mut session).await.ok();
            }
            // The work is done; an error changes nothing.
            let _ = session.close().await;
        }
        self.report
    }

    /// How many events may still be taken.
    fn left(&self) -> u64 {
        let done = self.report.settled() + self.set_aside.len() as u64;
        self.settings
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(done))
    }

    /// Claims the next batch. The first claim follows the rescue and the sweep, in one transaction.
    async fn claim(&mut self) -> Result<Claim, sqlx::Error> {
        let settings = self.settings;
        let batch = u64::from(settings.batch_size);
        let oldest = self.left().min(batch);
        let companions = (self.left() - oldest).min(batch);
        let (is_rescued, mut is_swept) = (self.is_rescued, self.is_swept);
        let mut rows = Undecoded::default();
        let claiming = self.transact(1, async |transaction| {
            let mut written = Written::default();
            if !is_rescued {
                rescue(transaction, settings, &mut written).await?;
            }
            if !is_swept {
                is_swept = sweep(transaction, &mut written.report).await?;
            }
            rows = claim(transaction, settings, oldest, companions).await?;
            written.xid = rows.xid.or(written.xid);
            Ok(written)
        });
        let before = claiming.await?.report;
        (self.is_rescued, self.is_swept) = (true, is_swept);
        if before.enqueued > 0 {
            let events = before.enqueued;
            tracing::info!(events, "enqueued events that no trigger had");
        }
        let claim = rows.decode().await;
        self.report.add(&before);
        self.report.add(&claim.report);
        Ok(claim)
    }

    /// Does `work`, which concerns `events` events, in a transaction. Where the connection is lost, there is another one afterwards,
    /// unless the database stays out of reach; what was committed all the same is done.
    pub(super) async fn transact(
        &mut self,
        events: usize,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<Written, sqlx::Error>,
    ) -> Result<Written, sqlx::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.database.connect().await?),
        };
        session.keep_statements(events <= self.kept_events);
        let (error, in_doubt) = match attempt(session, work).await {
            Ok(written) => return Ok(written),
            Err(failed) => failed,
        };
        if ErrorClass::of(&error) != ErrorClass::Unreachable {
            return Err(error);
        }
        self.session = None;
        let xid = in_doubt.as_ref().and_then(|written| written.xid);
        let reconnecting = self.database.reconnect(&self.until.stop, xid).await;
        let settled = in_doubt
            .as_ref()
            .map_or(0, |written| written.report.settled());
        if settled > 0 && reconnecting.is_err() {
            tracing::warn!(
                events = settled,
                "a COMMIT was not answered: whether these events are settled is not known, and they \
                 are not counted"
            );
        }
        let (session, is_committed) = reconnecting?;
        self.session = Some(session);
        in_doubt.filter(|_| is_committed).ok_or(error)
    }
}

/// Does `work` in a transaction. What it wrote is in doubt where its `COMMIT` was not answered.
async fn attempt(
    session: &mut Session,
    work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<Written, sqlx::Error>,
) -> Result<Written, (sqlx::Error, Option<Written>)> {
    let nothing = |error| (error, None);
    let transaction = session.begin_indexed(Access::ReadWrite).await;
    let mut transaction = transaction.map_err(nothing)?;
    let written = work(&mut transaction).await.map_err(nothing)?;
    match transaction.commit().await {
        Ok(()) => Ok(written),
        Err(error) => Err((error, Some(written))),
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
