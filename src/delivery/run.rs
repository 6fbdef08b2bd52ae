//! One run of `deliver`: messages are leased as fast as others are done with, until nothing is due.

mod promotion;
mod recording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Settings;
use super::flight::Flight;
use super::lease::{Reach, rescue};
use super::people::People;
use super::post::Post;
use super::promote::{Queue, Timing};
use super::report::{DeliveryReport, Left};
use super::waiting::{expire, left, look, next_opening};
use crate::db::{Access, Database, ErrorClass, Session, sqlstate};
use recording::Unrecorded;

/// A transaction is tried this often where others are in the way.
const TRIES: u32 = 5;
/// Pause before another try where another transaction was in the way.
const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// A target that opens again within this time is waited for.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Runs until nothing is due, or the time or the limit is reached, or `stop` is cancelled. What is on
/// its way then is waited for. `progress` hears of each step.
///
/// What was done is in the report even where the run failed.
pub async fn run(
    database: &Database,
    post: Post,
    settings: &Settings,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&DeliveryReport),
) -> (DeliveryReport, Result<(), sqlx::Error>) {
    let reach = post.reach();
    let post = Arc::new(post);
    let mut run = Run {
        database: &database.until(stop, settings.max_runtime),
        mails_are_sent: post.mail.is_some(),
        flight: Flight::new(Arc::clone(&post), settings, reach.clone()),
        settings,
        stop,
        reach,
        session: None,
        people: None,
        report: DeliveryReport::default(),
        queues: [Timing::Immediate, Timing::Aggregated].map(Queue::new),
        ahead: 0,
        unrecorded: Unrecorded::default(),
        trouble: None,
    };
    let result = run.until_empty(progress).await;
    if let Err(error) = &result {
        run.record_what_was_sent(error).await;
    }
    post.close().await;
    if let Some(session) = run.session.take() {
        // The work is done, whatever the server says.
        let _ = session.close().await;
    }
    (run.report, result)
}

struct Run<'a> {
    database: &'a Database,
    /// Whether there is anything that carries them.
    mails_are_sent: bool,
    settings: &'a Settings,
    stop: &'a CancellationToken,
    reach: Reach,
    session: Option<Session>,
    people: Option<People>,
    report: DeliveryReport,
    flight: Flight,
    /// Mails without a delivery.
    queues: [Queue; 2],
    /// Deliveries of mails that this run made and, as far as it knows, are not leased yet.
    ahead: u64,
    /// What was sent and could not be recorded yet.
    unrecorded: Unrecorded,
    /// Why queued mails could not be given deliveries.
    trouble: Option<sqlx::Error>,
}

impl Run<'_> {
    async fn until_empty(
        &mut self,
        progress: &mut dyn FnMut(&DeliveryReport),
    ) -> Result<(), sqlx::Error> {
        let (started, max_runtime) = (Instant::now(), self.settings.max_runtime);
        self.begin().await?;
        // Before anything else: what is queued already may take up the whole run.
        let mut may_promote = self.promote().await?;
        loop {
            let is_over = self.stop.is_cancelled() || started.elapsed() >= max_runtime;
            let room = if is_over { 0 } else { self.room() };
            self.record_late().await?;
            let mut leased = 0;
            if room > 0 || !self.flight.finished.is_empty() {
                leased = self.round(room).await?;
                progress(&self.report);
            }
            if !self.flight.finished.is_empty() {
                // Those that there was no need to send.
                continue;
            }
            let is_idle = leased == 0 && self.flight.sending() == 0;
            if room > leased && may_promote && !self.is_ahead(is_idle).await? {
                may_promote = self.promote().await?;
                if may_promote && self.flight.sending() == 0 {
                    continue;
                }
            }
            if self.flight.sending() > 0 {
                self.flight.wait().await;
                continue;
            }
            if self.unrecorded.wait().await {
                continue;
            }
            if is_over || room == 0 {
                self.report.stopped_early = true;
                break;
            }
            if leased > 0 {
                continue;
            }
            let left = max_runtime.saturating_sub(started.elapsed());
            match self.opening().await? {
                Some(pause) if pause <= left.min(SHORT_PAUSE) => {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
                _ => break,
            }
        }
        self.settle_late_mails().await?;
        self.look_for_waiting().await?;
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Messages that may be leased now.
    fn room(&self) -> u64 {
        let flying = self.flight.sending() as u64;
        let free = u64::from(self.settings.concurrency).saturating_sub(flying);
        let left = self.settings.limit.map_or(u64::MAX, |limit| {
            let done = self.flight.finished.len() + self.unrecorded.len();
            limit.saturating_sub(self.report.done() + flying + done as u64)
        });
        free.min(left)
    }

    /// Takes over what others have left.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.session = Some(self.database.connect().await?);
        let mut tries = 1;
        let (people, report) = loop {
            match self.try_begin().await {
                Ok(begun) => break begun,
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        };
        self.people = Some(people);
        self.report.add(report);
        Ok(())
    }

    async fn try_begin(&mut self) -> Result<(People, DeliveryReport), sqlx::Error> {
        let (settings, reach) = (self.settings, &self.reach);
        let rules = &settings.rules;
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        let mut report = DeliveryReport::default();
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                rescue(&mut transaction, rules, &mut report).await?;
                expire(&mut transaction, settings, reach, &mut report).await?;
                let people = People::known(&mut transaction).await?;
                transaction.commit().await?;
                Ok((people, report))
            })
            .await
    }

    /// Makes another try possible, or gives the error back. The fence tells whether an earlier try was
    /// committed after all; what it leased and nobody knows of is rescued when its lease ends.
    async fn recover(&mut self, error: sqlx::Error, tries: u32) -> Result<(), sqlx::Error> {
        tracing::debug!(sqlstate = sqlstate(&error), tries, "trying again");
        match ErrorClass::of(&error) {
            ErrorClass::Unreachable => {
                self.session = None;
                self.session = Some(self.database.reconnect(self.stop, None).await?.0);
                Ok(())
            }
            ErrorClass::Contended | ErrorClass::Blocked if tries < TRIES => {
                tokio::time::sleep(CONTENDED_PAUSE * tries).await;
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// How long until the first paused target opens for which something is due.
    async fn opening(&mut self) -> Result<Option<Duration>, sqlx::Error> {
        let mut tries = 1;
        let seconds = loop {
            let Some(session) = &mut self.session else {
                return Ok(None);
            };
            let reach = &self.reach;
            let looking = self.database.within(next_opening(session, reach));
            match looking.await {
                Ok(seconds) => break seconds,
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        };
        // A little more, or the look would come a moment too early.
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds + 0.005).ok()))
    }

    /// Looks for what is due and was not sent, and why.
    async fn look_for_waiting(&mut self) -> Result<(), sqlx::Error> {
        let mut tries = 1;
        while let Some(session) = &mut self.session {
            let (settings, reach, is_left) =
                (self.settings, &self.reach, self.report.stopped_early);
            let looking = self.database.within(async {
                let (waiting, paused) = look(session, reach).await?;
                let left = if is_left {
                    left(session, settings, reach).await?
                } else {
                    Left::default()
                };
                Ok((waiting, paused, left))
            });
            match looking.await {
                Ok((waiting, paused, left)) => {
                    self.report.waiting = waiting;
                    self.report.paused = paused;
                    self.report.left = left;
                    break;
                }
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        }
        Ok(())
    }
}
