//! One run: rescue what is stuck, then batch after batch until nothing is due.

use std::collections::VecDeque;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Settings;
use super::claim::{Claim, ClaimedEvent, claim};
use super::refusal::Refusal;
use super::report::FanOutReport;
use super::rescue::rescue;
use super::sweep::sweep;
use super::write::{Written, charge, release, write};
use crate::db::{Access, Database, Fault, Session, sqlstate};
use crate::domain::backoff;

/// The same batch is written this often where other transactions are in its way, or the connection
/// is lost.
const WRITE_TRIES: u32 = 4;
/// Pause before another try where another transaction was in the way.
const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// So many events to crowds are held back while others are due.
const MOST_CROWDS: usize = 4;

/// Why a run had to stop. What it had settled until then stays settled; a batch in hand is
/// rescued by a later run.
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
        match Fault::of(&error) {
            Fault::Unreachable => Self::Unreachable(error),
            _ => Self::Database(error),
        }
    }
}

/// Runs until nothing is due, or the time or the limit is reached, or `stop` is cancelled. The
/// batch in hand is always finished. `progress` hears of each batch.
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
    };
    let result = run.until_empty(stop, progress).await;
    if let Some(session) = run.session.take() {
        // The work is done; a server that is gone or silent by now needs no goodbye.
        let _ = tokio::time::timeout(Duration::from_secs(1), session.close()).await;
    }
    (run.report, result)
}

struct Run<'a> {
    database: &'a Database,
    settings: &'a Settings,
    session: Option<Session>,
    report: FanOutReport,
    set_aside: VecDeque<Crowd>,
    /// Whether all events were looked at for a processing row.
    is_swept: bool,
}

/// An event in hand that tells so many people that it would keep others waiting.
struct Crowd {
    token: i64,
    event: ClaimedEvent,
    since: Instant,
}

impl Run<'_> {
    async fn until_empty(
        &mut self,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<(), RunFailed> {
        let result = self.batches(stop, progress).await;
        self.release().await;
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
                    again = self.settle_crowd(stop, &is_over, progress).await? && !is_over();
                }
                self.report.stopped_early = true;
                return Ok(());
            }
            if self.set_aside.len() > MOST_CROWDS
                || self
                    .set_aside
                    .front()
                    .is_some_and(|crowd| crowd.since.elapsed() >= self.settings.stuck_after / 2)
            {
                self.settle_crowd(stop, &is_over, progress).await?;
                continue;
            }
            let claim = match self.claim(first, left).await {
                Ok(claim) => claim,
                Err(error) => match Fault::of(&error) {
                    Fault::Unreachable if !first => {
                        self.reconnect(stop).await?;
                        continue;
                    }
                    Fault::Contended => {
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
            } else if !self.settle_crowd(stop, &is_over, progress).await? {
                return Ok(());
            }
        }
    }

    /// Writes the event that was set aside first, if there is one.
    async fn settle_crowd(
        &mut self,
        stop: &CancellationToken,
        is_over: &dyn Fn() -> bool,
        progress: &mut dyn FnMut(&FanOutReport),
    ) -> Result<bool, RunFailed> {
        let Some(Crowd { token, event, .. }) = self.set_aside.pop_front() else {
            return Ok(false);
        };
        self.settle(token, vec![event], stop, is_over).await?;
        progress(&self.report);
        Ok(true)
    }

    /// Gives back what was set aside and is still in hand.
    async fn release(&mut self) {
        let (ids, tokens): (Vec<i64>, Vec<i64>) = self
            .set_aside
            .drain(..)
            .map(|crowd| (crowd.event.event_id, crowd.token))
            .unzip();
        if let (false, Some(session)) = (ids.is_empty(), &mut self.session)
            && let Err(error) = within(self.settings, release(session, &ids, &tokens)).await
        {
            tracing::warn!(
                events = ids.len(),
                sqlstate = sqlstate(&error),
                "could not be given back; left to the rescue"
            );
        }
    }

    /// How many events the run may still take.
    fn left(&self) -> u64 {
        let done = self.report.settled() + self.set_aside.len() as u64;
        self.settings
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(done))
    }

    /// Claims the next batch. The first claim follows the rescue and the sweep, in one transaction.
    async fn claim(&mut self, first: bool, at_most: u64) -> Result<Claim, sqlx::Error> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.database.connect().await?),
        };
        let settings = self.settings;
        let batch = u64::from(settings.batch_size);
        let oldest = at_most.min(batch);
        let companions = (at_most - oldest).min(batch);
        let is_swept = self.is_swept;
        let (rescued, swept, claim) = within(settings, async {
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
            let claim = claim(
                &mut transaction,
                settings,
                oldest.cast_signed(),
                companions.cast_signed(),
            )
            .await?;
            transaction.commit().await?;
            Ok((rescued, swept, claim))
        })
        .await?;

        if let Some(rescued) = rescued {
            self.report.rescued += rescued.put_back;
            self.report.failed += rescued.given_up;
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
        Ok(claim)
    }

    /// Writes a batch. Where the database refuses it, it is halved until the offender stands
    /// alone; that one is charged, and the others go through.
    ///
    /// Where it is a lock that nobody lets go of, each half waits anew: past the run's time, or
    /// once it is told to stop, the rest is left for a later run to rescue.
    async fn settle(
        &mut self,
        token: i64,
        events: Vec<ClaimedEvent>,
        stop: &CancellationToken,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), RunFailed> {
        let started = Instant::now();
        let before = (
            self.report.notifications,
            self.report.merged,
            self.report.emails,
            self.report.deliveries,
        );
        let (first, last, mut count) = (
            events.first().map(|event| event.event_id),
            events.last().map(|event| event.event_id),
            events.len(),
        );
        let mut parts = vec![events];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let error = match self.write(token, &part, stop, is_over).await {
                Ok(set_aside) => {
                    let crowds = part
                        .into_iter()
                        .filter(|event| set_aside.binary_search(&event.event_id).is_ok());
                    count -= set_aside.len();
                    self.set_aside.extend(crowds.map(|event| Crowd {
                        token,
                        event,
                        since: started,
                    }));
                    continue;
                }
                Err(error) => error,
            };
            if self.session.is_none() {
                return Err(RunFailed::Unreachable(error));
            }
            if Fault::of(&error) == Fault::Blocked && is_over() {
                return Err(error.into());
            }
            if part.len() > 1 {
                let later = part.split_off(part.len() / 2);
                parts.extend([later, part]);
            } else {
                self.charge(token, &part[0], &error, stop).await?;
            }
        }
        if count > 0 {
            tracing::info!(
                claim = token,
                events = count,
                first_event_id = first,
                last_event_id = last,
                notifications = self.report.notifications - before.0,
                merged = self.report.merged - before.1,
                emails = self.report.emails - before.2,
                deliveries = self.report.deliveries - before.3,
                seconds = started.elapsed().as_secs_f64(),
                "batch settled",
            );
        }
        Ok(())
    }

    /// Writes a part of a batch and returns which of it was set aside; again where another transaction was in the way or the connection
    /// was lost: the fence tells whether an earlier try was committed after all.
    ///
    /// After an error there is a session, unless the database stays out of reach: a part that
    /// loses the connection each time is at fault itself.
    async fn write(
        &mut self,
        token: i64,
        part: &[ClaimedEvent],
        stop: &CancellationToken,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut tries = 1;
        loop {
            let Some(session) = &mut self.session else {
                self.session = Some(self.database.connect().await?);
                continue;
            };
            let error = match write(session, self.settings, token, part).await {
                Ok(Written { report, set_aside }) => {
                    self.add(report);
                    return Ok(set_aside);
                }
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            let code = sqlstate(&error);
            if fault == Fault::Unreachable {
                self.reconnect(stop).await?;
            }
            let again = match fault {
                Fault::Contended | Fault::Unreachable => true,
                Fault::Blocked => !is_over(),
                Fault::Refused | Fault::Other => false,
            };
            if !again || tries >= WRITE_TRIES {
                return Err(error);
            }
            tracing::debug!(sqlstate = code, tries, "writing the batch again");
            tokio::time::sleep(CONTENDED_PAUSE * tries).await;
            tries += 1;
        }
    }

    /// Opens another connection, waiting for a server that is away.
    async fn reconnect(&mut self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        self.session = None;
        self.session = Some(self.database.reconnect(stop).await?);
        Ok(())
    }

    /// Charges an event that the database would not take. Where not even that can be written, it
    /// is left to the rescue, and the run goes on with the others.
    async fn charge(
        &mut self,
        token: i64,
        event: &ClaimedEvent,
        error: &sqlx::Error,
        stop: &CancellationToken,
    ) -> Result<(), RunFailed> {
        let refusal = Refusal::of(error, event.attempt, self.settings.max_attempts);
        let retry_after = refusal
            .is_retried
            .then(|| backoff::delay(event.attempt, rand::random()).as_secs_f64());
        tracing::warn!(
            event_id = event.event_id,
            event_type = event.event_type.name(),
            attempt = event.attempt,
            retry_after_seconds = retry_after,
            // The database's words may repeat a value of the row: they are for its table only.
            "{}",
            refusal.for_log,
        );
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let text = &refusal.for_table;
        let charged = within(
            self.settings,
            charge(session, token, event.event_id, text, retry_after),
        )
        .await;
        match charged {
            Ok(false) => self.report.lost_claims += 1,
            Ok(true) if refusal.is_retried => self.report.retried += 1,
            Ok(true) => self.report.failed += 1,
            Err(error) => {
                if Fault::of(&error) == Fault::Unreachable {
                    self.reconnect(stop).await?;
                }
                tracing::warn!(
                    event_id = event.event_id,
                    sqlstate = sqlstate(&error),
                    "could not be charged either; left to the rescue"
                );
            }
        }
        Ok(())
    }

    fn add(&mut self, part: FanOutReport) {
        if part.lost_claims > 0 {
            tracing::warn!(
                events = part.lost_claims,
                "claims were reset while in hand; nothing was written for them"
            );
        }
        let report = &mut self.report;
        report.batches += part.batches;
        report.events += part.events;
        report.notifications += part.notifications;
        report.merged += part.merged;
        report.emails += part.emails;
        report.deliveries += part.deliveries;
        report.suppressed += part.suppressed;
        report.failed += part.failed;
        report.retried += part.retried;
        report.lost_claims += part.lost_claims;
        report.latencies.extend(part.latencies);
    }
}

/// Work of a few statements on the connection, given up where the server has fallen silent: it ends
/// each of them by itself before this.
pub(super) async fn within<T>(
    settings: &Settings,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    crate::db::within(settings.stuck_after, work).await
}
