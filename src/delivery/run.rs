//! One run of `deliver`: leases deliveries as fast as others finish, until nothing is due.

mod connection;
mod promotion;
mod recording;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::DeliverySettings;
use super::in_flight::InFlight;
use super::lease::{Capabilities, rescue};
use super::people::People;
use super::promote::{Queue, Timing};
use super::report::{DeliveryReport, Left};
use super::sender::Sender;
use super::waiting::{expire, left, next_opening, paused, waiting};
use crate::db::{Access, Database, Unnamed};
use connection::Connection;
use recording::Unrecorded;

/// A paused target that opens within this time is awaited.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// A run that goes on looks this often for what has become due while messages are in flight.
const LOOK_WHILE_IN_FLIGHT: Duration = Duration::from_secs(1);

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
    let mut run = Run::new(database, sender, settings, stop, None);
    let mut result = run.pass(true, progress).await;
    if result.is_ok() {
        result = run.look_for_waiting().await;
    }
    let report = run.take_report();
    run.close().await;
    (report, result)
}

/// Delivers over one session, and counts what it does.
pub struct Run<'a> {
    connection: Connection<'a>,
    settings: &'a DeliverySettings,
    stop: &'a CancellationToken,
    /// Tells that more may be due.
    woken: Option<&'a Notify>,
    started: Instant,
    sender: Arc<Sender>,
    capabilities: Capabilities,
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

impl<'a> Run<'a> {
    /// Connects at the first pass. `woken` makes a pass look again while messages are in flight or paused.
    pub fn new(
        database: &Database,
        sender: Sender,
        settings: &'a DeliverySettings,
        stop: &'a CancellationToken,
        woken: Option<&'a Notify>,
    ) -> Self {
        let capabilities = sender.capabilities();
        let sender = Arc::new(sender);
        Self {
            connection: Connection::new(database.until(stop, settings.max_runtime), stop),
            in_flight: InFlight::new(Arc::clone(&sender), settings, capabilities.clone()),
            settings,
            stop,
            woken,
            started: Instant::now(),
            sender,
            capabilities,
            people: None,
            report: DeliveryReport::default(),
            queues: [Timing::Immediate, Timing::Aggregated].map(Queue::new),
            ahead: 0,
            unrecorded: Unrecorded::default(),
            trouble: None,
        }
    }

    /// Works until nothing is due, or the time or the limit is reached, or it is to stop; then messages in flight
    /// are awaited. `maintain`: reclaims expired leases and expires old deliveries first.
    pub async fn pass(
        &mut self,
        maintain: bool,
        progress: &mut dyn FnMut(&DeliveryReport),
    ) -> Result<(), sqlx::Error> {
        self.started = Instant::now();
        self.queues = [Timing::Immediate, Timing::Aggregated].map(Queue::new);
        let result = self.until_empty(maintain, progress).await;
        if let Err(error) = &result {
            self.record_what_was_sent(error).await;
            self.connection.forget();
        }
        result
    }

    /// Drops a session that does not answer within this time.
    pub(crate) async fn check_session(&mut self, within: Duration) {
        self.connection.check(within).await;
    }

    /// What was done since this was last asked.
    pub fn take_report(&mut self) -> DeliveryReport {
        std::mem::take(&mut self.report)
    }

    /// Closes the connections to the transports and the database.
    pub async fn close(self) {
        self.sender.close().await;
        self.connection.close().await;
    }

    async fn until_empty(
        &mut self,
        maintain: bool,
        progress: &mut dyn FnMut(&DeliveryReport),
    ) -> Result<(), sqlx::Error> {
        if maintain || !self.connection.is_open() || self.people.is_none() {
            self.begin().await?;
        }
        // First: deliveries that are due already may take the whole run.
        let mut may_promote = self.promote().await?;
        loop {
            let is_over = self.stop.is_cancelled() || self.time_left().is_zero();
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
                tokio::select! {
                    biased;
                    () = self.in_flight.wait() => {}
                    () = woken(self.woken) => may_promote = self.look_again(),
                    () = tokio::time::sleep(LOOK_WHILE_IN_FLIGHT), if self.woken.is_some() => {}
                }
                continue;
            }
            if self.unrecorded.wait().await {
                continue;
            }
            if is_over || room == 0 {
                self.report.stopped_early = true;
                break;
            }
            if leased == 0 && !self.wait_for_opening().await? {
                break;
            }
        }
        self.settle_late_emails().await?;
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// E-mails may have been queued since.
    fn look_again(&mut self) -> bool {
        for queue in &mut self.queues {
            queue.is_empty = false;
        }
        self.capabilities.email_transport.is_some()
    }

    /// Seconds until a delivery is due that can be sent here; `None`: nothing waits.
    pub async fn next_due(&mut self) -> Result<Option<f64>, sqlx::Error> {
        let unavailable = &self.capabilities.unavailable;
        let looking = self
            .connection
            .retry(Access::ReadOnly, async |transaction| {
                sqlx::query_file_scalar!("src/delivery/next_due.sql", unavailable)
                    .fetch_one(Unnamed(transaction))
                    .await
            });
        looking.await
    }

    fn time_left(&self) -> Duration {
        self.settings
            .max_runtime
            .saturating_sub(self.started.elapsed())
    }

    /// How many deliveries may be leased now.
    fn room(&self) -> u64 {
        let in_flight = self.in_flight.len() as u64;
        let free = u64::from(self.settings.concurrency).saturating_sub(in_flight);
        let left = self.settings.limit.map_or(u64::MAX, |limit| {
            let done = self.in_flight.finished.len() + self.unrecorded.len();
            limit.saturating_sub(self.report.done() + in_flight + done as u64)
        });
        free.min(left)
    }

    /// Reclaims expired leases and expires old deliveries.
    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        if !self.connection.is_open() {
            self.connection.open().await?;
        }
        let (settings, capabilities) = (self.settings, &self.capabilities);
        let beginning = self
            .connection
            .retry(Access::ReadWrite, async |transaction| {
                let mut report = DeliveryReport::default();
                rescue(transaction, &settings.retry_policy, &mut report).await?;
                expire(transaction, settings, capabilities, &mut report).await?;
                Ok((People::known(transaction).await?, report))
            });
        let (people, report) = beginning.await?;
        self.people = Some(people);
        self.report.add(report);
        Ok(())
    }

    /// Waits until a paused target opens. `false`: none with due deliveries does so soon.
    async fn wait_for_opening(&mut self) -> Result<bool, sqlx::Error> {
        let capabilities = &self.capabilities;
        let looking = self
            .connection
            .retry(Access::ReadOnly, async |transaction| {
                next_opening(transaction, capabilities).await
            });
        // Slightly more, or the next look-up would come a moment too early.
        let pause = looking
            .await?
            .and_then(|seconds| Duration::try_from_secs_f64(seconds + 0.005).ok());
        let Some(pause) = pause.filter(|pause| *pause <= self.time_left().min(SHORT_PAUSE)) else {
            return Ok(false);
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = woken(self.woken) => {}
            () = self.stop.cancelled() => {}
        }
        Ok(true)
    }

    /// Looks up what is due and was not sent, and why.
    async fn look_for_waiting(&mut self) -> Result<(), sqlx::Error> {
        let (settings, capabilities) = (self.settings, &self.capabilities);
        let stopped_early = self.report.stopped_early;
        let looking = self
            .connection
            .retry(Access::ReadOnly, async |transaction| {
                let waiting = waiting(transaction, capabilities).await?;
                let paused = paused(transaction, capabilities).await?;
                let left = if stopped_early {
                    left(transaction, settings, capabilities).await?
                } else {
                    Left::default()
                };
                Ok((waiting, paused, left))
            });
        let report = &mut self.report;
        (report.waiting, report.paused, report.left) = looking.await?;
        Ok(())
    }
}

async fn woken(by: Option<&Notify>) {
    match by {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}
