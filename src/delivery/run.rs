//! One run of `deliver`: leases deliveries as fast as others finish, until nothing is due.

mod promotion;
mod recording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::DeliverySettings;
use super::in_flight::InFlight;
use super::lease::{Capabilities, rescue};
use super::people::People;
use super::promote::{Queue, Timing};
use super::report::{DeliveryReport, Left};
use super::sender::Sender;
use super::waiting::{expire, left, look, next_opening};
use crate::db::{Access, Database, ErrorClass, Session, sqlstate};
use recording::Unrecorded;

/// How often a transaction is tried that conflicts with others.
const TRIES: u32 = 5;
/// Pause before another try.
const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// A paused target that opens within this time is awaited.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// Runs until nothing is due, or the time or the limit is reached, or `stop` is cancelled; then messages
/// in flight are awaited. `progress` is called after each step.
///
/// The report counts what was done, also by a run that failed.
pub async fn run(
    database: &Database,
    sender: Sender,
    settings: &DeliverySettings,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&DeliveryReport),
) -> (DeliveryReport, Result<(), sqlx::Error>) {
    let capabilities = sender.capabilities();
    let sender = Arc::new(sender);
    let mut run = Run {
        database: &database.until(stop, settings.max_runtime),
        sends_emails: sender.mail.is_some(),
        in_flight: InFlight::new(Arc::clone(&sender), settings, capabilities.clone()),
        settings,
        stop,
        capabilities,
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
    sender.close().await;
    if let Some(session) = run.session.take() {
        // The work is done; an error changes nothing.
        let _ = session.close().await;
    }
    (run.report, result)
}

struct Run<'a> {
    database: &'a Database,
    /// Whether an e-mail transport is configured.
    sends_emails: bool,
    settings: &'a DeliverySettings,
    stop: &'a CancellationToken,
    capabilities: Capabilities,
    session: Option<Session>,
    people: Option<People>,
    report: DeliveryReport,
    in_flight: InFlight,
    /// E-mails without a delivery.
    queues: [Queue; 2],
    /// Deliveries of e-mails that this run made and that, as far as it knows, are not leased yet.
    ahead: u64,
    /// Results that could not be recorded yet.
    unrecorded: Unrecorded,
    /// Why queued e-mails could not be promoted.
    trouble: Option<sqlx::Error>,
}

impl Run<'_> {
    async fn until_empty(
        &mut self,
        progress: &mut dyn FnMut(&DeliveryReport),
    ) -> Result<(), sqlx::Error> {
        let (started, max_runtime) = (Instant::now(), self.settings.max_runtime);
        self.begin().await?;
        // First: deliveries that are due already may take the whole run.
        let mut may_promote = self.promote().await?;
        loop {
            let is_over = self.stop.is_cancelled() || started.elapsed() >= max_runtime;
            let room = if is_over { 0 } else { self.room() };
            self.record_late().await?;
            let mut leased = 0;
            if room > 0 || !self.in_flight.finished.is_empty() {
                leased = self.round(room).await?;
                progress(&self.report);
            }
            if !self.in_flight.finished.is_empty() {
                // Those that were not attempted.
                continue;
            }
            let is_idle = leased == 0 && self.in_flight.len() == 0;
            if room > leased && may_promote && !self.is_ahead(is_idle).await? {
                may_promote = self.promote().await?;
                if may_promote && self.in_flight.len() == 0 {
                    continue;
                }
            }
            if self.in_flight.len() > 0 {
                self.in_flight.wait().await;
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

    /// How many deliveries may be leased now.
    fn room(&self) -> u64 {
        let flying = self.in_flight.len() as u64;
        let free = u64::from(self.settings.concurrency).saturating_sub(flying);
        let left = self.settings.limit.map_or(u64::MAX, |limit| {
            let done = self.in_flight.finished.len() + self.unrecorded.len();
            limit.saturating_sub(self.report.done() + flying + done as u64)
        });
        free.min(left)
    }

    /// Reclaims expired leases and expires old deliveries.
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
        let (settings, capabilities) = (self.settings, &self.capabilities);
        let retry_policy = &settings.retry_policy;
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        let mut report = DeliveryReport::default();
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                rescue(&mut transaction, retry_policy, &mut report).await?;
                expire(&mut transaction, settings, capabilities, &mut report).await?;
                let people = People::known(&mut transaction).await?;
                transaction.commit().await?;
                Ok((people, report))
            })
            .await
    }

    /// Prepares another try, or returns the error. If an earlier try was committed after all, the lease
    /// tokens prove it; deliveries that it leased unnoticed are reclaimed when their leases expire.
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

    /// How long until the first paused target with due deliveries opens.
    async fn opening(&mut self) -> Result<Option<Duration>, sqlx::Error> {
        let mut tries = 1;
        let seconds = loop {
            let Some(session) = &mut self.session else {
                return Ok(None);
            };
            let capabilities = &self.capabilities;
            let looking = self.database.within(next_opening(session, capabilities));
            match looking.await {
                Ok(seconds) => break seconds,
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        };
        // Slightly more, or the look-up would come a moment too early.
        Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds + 0.005).ok()))
    }

    /// Looks up what is due and was not sent, and why.
    async fn look_for_waiting(&mut self) -> Result<(), sqlx::Error> {
        let mut tries = 1;
        while let Some(session) = &mut self.session {
            let (settings, capabilities, is_left) =
                (self.settings, &self.capabilities, self.report.stopped_early);
            let looking = self.database.within(async {
                let (waiting, paused) = look(session, capabilities).await?;
                let left = if is_left {
                    left(session, settings, capabilities).await?
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
