//! One run: rescue what is stuck, then batch after batch until nothing is due.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Settings;
use super::claim::{Claim, ClaimedEvent, claim};
use super::names::look_up;
use super::report::FanOutReport;
use super::rescue::rescue;
use super::write::{EventError, Prepared, Resolution, write};
use crate::db::{Access, Database, Fault, Session, sqlstate};
use crate::domain::backoff;
use crate::domain::event::InvalidEvent;
use crate::handlers::{EventType, Handler, Names, Wanted};

/// The same batch is written this often where other transactions are in its way, or the connection
/// is lost.
const WRITE_TRIES: u32 = 4;
/// A server that goes away, as for a restart, is waited for this long.
const RECONNECT_FOR: Duration = Duration::from_secs(30);

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
        database,
        settings,
        session: None,
        report: FanOutReport::default(),
    };
    let result = run.until_empty(stop, progress).await;
    if let Some(session) = run.session.take() {
        // The work is done; a server that is gone by now has said goodbye already.
        let _ = session.close().await;
    }
    (run.report, result)
}

struct Run<'a> {
    database: &'a Database,
    settings: &'a Settings,
    session: Option<Session>,
    report: FanOutReport,
}

impl Run<'_> {
    async fn until_empty(
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
                self.report.stopped_early = true;
                return Ok(());
            }
            let claimed = match self.claim(first, left).await {
                Ok(claimed) => claimed,
                Err(error) if Fault::of(&error) == Fault::Unreachable && !first => {
                    self.reconnect().await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            first = false;
            let Some((token, events)) = claimed else {
                return Ok(());
            };
            self.settle(token, events, &is_over).await?;
            progress(&self.report);
        }
    }

    /// How many events the next claim may take.
    fn left(&self) -> i64 {
        let batch = u64::from(self.settings.batch_size);
        let done =
            self.report.events + self.report.failed + self.report.retried + self.report.lost_claims;
        let left = self
            .settings
            .limit
            .map_or(batch, |limit| limit.saturating_sub(done));
        left.min(batch).cast_signed()
    }

    /// Claims the next batch and plans it; `None`: nothing was due. The first claim follows the
    /// rescue, in one transaction.
    async fn claim(
        &mut self,
        first: bool,
        at_most: i64,
    ) -> Result<Option<(i64, Vec<Prepared>)>, sqlx::Error> {
        if self.session.is_none() {
            self.session = Some(self.database.connect().await?);
        }
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let rescued = if first {
            Some(rescue(&mut transaction, self.settings).await?)
        } else {
            None
        };
        let Claim {
            token,
            events,
            expired,
            unhandled,
        } = claim(&mut transaction, self.settings, at_most).await?;
        let found = events.len() + expired.len() + unhandled.len();
        let parsed: Vec<_> = events.into_iter().map(Parsed::new).collect();
        let mut wanted = Wanted::default();
        for handler in parsed
            .iter()
            .filter_map(|event| event.handler.as_ref().ok())
        {
            handler.wants(&mut wanted);
        }
        let names = if parsed.is_empty() {
            Names::default()
        } else {
            look_up(&mut transaction, &wanted).await?
        };
        transaction.commit().await?;

        if let Some(rescued) = rescued {
            self.report.rescued += rescued.put_back;
            self.report.failed += rescued.given_up;
            self.report.unhandled_types.extend(rescued.unhandled);
        }
        for event_id in &expired {
            tracing::warn!(event_id, "expired: pending for longer than the age limit");
        }
        self.report.expired += expired.len() as u64;
        self.report.unhandled_types.extend(unhandled);
        if found == 0 {
            return Ok(None);
        }
        let events = parsed
            .into_iter()
            .map(|event| event.prepare(&names))
            .collect();
        Ok(Some((token, events)))
    }

    /// Writes a batch. Where the database refuses it, it is halved until the offender stands
    /// alone; that one is charged, and the others go through.
    ///
    /// Where it is a lock that nobody lets go of, each half waits anew: past the run's time, or
    /// once it is told to stop, the rest is left for a later run to rescue.
    async fn settle(
        &mut self,
        token: i64,
        events: Vec<Prepared>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), RunFailed> {
        let started = Instant::now();
        let before = (
            self.report.notifications,
            self.report.merged,
            self.report.emails,
        );
        let (first, last, count) = (
            events.first().map(|event| event.event_id),
            events.last().map(|event| event.event_id),
            events.len(),
        );
        let mut parts = vec![events];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let Err(error) = self.write(token, &part, is_over).await else {
                continue;
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
                part[0].resolution = self.charge(&part[0], &error);
                self.write(token, &part, is_over).await?;
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
                seconds = started.elapsed().as_secs_f64(),
                "batch settled",
            );
        }
        Ok(())
    }

    /// Writes a part of a batch, again where another transaction was in the way or the connection
    /// was lost: the fence tells whether an earlier try was committed after all.
    ///
    /// After an error there is a session, unless the database stays out of reach: a part that
    /// loses the connection each time is at fault itself.
    async fn write(
        &mut self,
        token: i64,
        part: &[Prepared],
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), sqlx::Error> {
        let mut tries = 1;
        loop {
            let Some(session) = &mut self.session else {
                self.session = Some(self.database.connect().await?);
                continue;
            };
            let error = match write(session, token, part).await {
                Ok(report) => {
                    self.add(report);
                    return Ok(());
                }
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            let code = sqlstate(&error);
            if fault == Fault::Unreachable {
                self.reconnect().await?;
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
            tokio::time::sleep(Duration::from_millis(20) * tries).await;
            tries += 1;
        }
    }

    /// Opens another connection, waiting for a server that is away.
    async fn reconnect(&mut self) -> Result<(), sqlx::Error> {
        self.session = None;
        tracing::warn!("lost the connection; trying again");
        let since = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
            match self.database.connect().await {
                Ok(session) => {
                    self.session = Some(session);
                    return Ok(());
                }
                Err(error)
                    if Fault::of(&error) != Fault::Unreachable
                        || since.elapsed() >= RECONNECT_FOR =>
                {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
    }

    /// What becomes of an event that the database would not take.
    fn charge(&self, event: &Prepared, error: &sqlx::Error) -> Resolution {
        let code = sqlstate(error).unwrap_or_else(|| "no SQLSTATE".to_owned());
        let what = error
            .as_database_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned());
        let permanent = match Fault::of(error) {
            Fault::Refused => true,
            Fault::Contended => code.starts_with("23"),
            Fault::Unreachable | Fault::Blocked | Fault::Other => false,
        };
        let spent = event.attempt >= self.settings.max_attempts;
        Resolution::Unsuccessful {
            error: EventError::Refused {
                gave_up: spent && !permanent,
                sqlstate: code,
                message: what,
            },
            retry_after: (!permanent && !spent)
                .then(|| backoff::delay(event.attempt, rand::random()).as_secs_f64()),
        }
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
        report.suppressed += part.suppressed;
        report.failed += part.failed;
        report.retried += part.retried;
        report.lost_claims += part.lost_claims;
        report.latencies.extend(part.latencies);
    }
}

/// A claimed event after parsing, and before the names are known.
struct Parsed {
    event_id: i64,
    event_type: EventType,
    attempt: u32,
    handler: Result<Box<dyn Handler>, InvalidEvent>,
}

impl Parsed {
    fn new(event: ClaimedEvent) -> Self {
        let ClaimedEvent {
            event_type,
            row,
            attempt,
        } = event;
        Self {
            event_id: row.id,
            event_type,
            attempt,
            handler: event_type.parse(&row),
        }
    }

    fn prepare(self, names: &Names) -> Prepared {
        let resolution = match self.handler {
            Ok(handler) => Resolution::Effects(handler.plan(names)),
            Err(invalid) => Resolution::Unsuccessful {
                error: EventError::Invalid(invalid),
                retry_after: None,
            },
        };
        Prepared {
            event_id: self.event_id,
            event_type: self.event_type,
            attempt: self.attempt,
            resolution,
        }
    }
}
