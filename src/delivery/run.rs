//! One run of `deliver`: messages are leased as fast as others are done with, until nothing is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Settings;
use super::flight::Flight;
use super::lease::{Leases, Reach, lease, rescue};
use super::load::{Loaded, load};
use super::people::People;
use super::post::Post;
use super::promote::promote;
use super::record::record;
use super::report::DeliveryReport;
use super::waiting::{look, next_opening};
use crate::db::{Access, Database, Fault, Session, sqlstate};
use crate::domain::channel::Kind;

/// What was done is recorded again this often where other transactions are in the way.
const TRIES: u32 = 5;
/// Pause before another try where another transaction was in the way.
const CONTENDED_PAUSE: Duration = Duration::from_millis(20);
/// So many mails have deliveries before the next are given theirs.
const AHEAD: u64 = 200;
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
        flight: Flight::new(Arc::clone(&post), settings.rules.clone(), reach.lease),
        settings,
        stop,
        reach,
        session: None,
        people: None,
        report: DeliveryReport::default(),
        ahead: 0,
        trouble: None,
    };
    let result = run.until_empty(progress).await;
    if result.is_err() {
        run.see_through().await;
    }
    post.close().await;
    if let Some(session) = run.session.take() {
        // The work is done; a server that is gone or silent by now needs no goodbye.
        let _ = tokio::time::timeout(Duration::from_secs(1), session.close()).await;
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
    /// Mails that were given a delivery and, as far as this run knows, are not sent yet.
    ahead: u64,
    /// Why queued mails could not be taken up.
    trouble: Option<sqlx::Error>,
}

/// What one transaction brought.
struct Round {
    recorded: DeliveryReport,
    leases: Leases,
    loaded: Loaded,
    /// Before it began.
    since: Instant,
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
            let mut leased = 0;
            if room > 0 || !self.flight.finished.is_empty() {
                leased = self.round(room).await?;
                progress(&self.report);
            }
            if !self.flight.finished.is_empty() {
                // Those that there was no need to send.
                continue;
            }
            if room > leased && may_promote && self.ahead < AHEAD {
                may_promote = self.promote().await?;
                if may_promote && self.flight.sending() == 0 {
                    continue;
                }
            }
            if self.flight.sending() > 0 {
                self.flight.wait().await;
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
        self.look_for_waiting().await?;
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Messages that may be leased now.
    fn room(&self) -> u64 {
        let flying = self.flight.sending() as u64;
        let free = u64::from(self.settings.concurrency).saturating_sub(flying);
        let left = self.settings.limit.map_or(u64::MAX, |limit| {
            limit.saturating_sub(self.report.done() + flying + self.flight.finished.len() as u64)
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
        let rules = &self.settings.rules;
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        let mut report = DeliveryReport::default();
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                rescue(&mut transaction, rules, &mut report).await?;
                let people = People::known(&mut transaction).await?;
                transaction.commit().await?;
                Ok((people, report))
            })
            .await
    }

    /// Gives mails that wait a delivery each. `false`: there were none.
    async fn promote(&mut self) -> Result<bool, sqlx::Error> {
        if !self.mails_are_sent {
            return Ok(false);
        }
        let (database, settings) = (self.database, self.settings);
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let mut report = DeliveryReport::default();
        let promoted = database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                let promoted = promote(&mut transaction, settings, &mut report).await?;
                transaction.commit().await?;
                Ok(promoted)
            })
            .await;
        match promoted {
            Ok(promoted) => {
                self.ahead += report.mails;
                self.report.add(report);
                Ok(promoted)
            }
            Err(error) => match Fault::of(&error) {
                Fault::Refused | Fault::Other => {
                    tracing::error!(
                        sqlstate = sqlstate(&error),
                        "queued mails could not be taken up: {error}"
                    );
                    // The others are to be sent all the same.
                    self.trouble = Some(error);
                    Ok(false)
                }
                _ => {
                    self.recover(error, 1).await?;
                    Ok(true)
                }
            },
        }
    }

    /// Records what is finished and leases up to `room` messages, in one transaction; again where
    /// another one is in the way or the connection is lost. Returns how many were leased.
    async fn round(&mut self, room: u64) -> Result<u64, sqlx::Error> {
        let mut tries = 1;
        let round = loop {
            match self.try_round(room).await {
                Ok(round) => break round,
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        };
        self.flight.finished.clear();
        tell_of(&round.recorded);
        self.report.add(round.recorded);
        let leased = round.leases.messages.len() as u64;
        let clock = round.leases.now.map(|now| (now, round.since));
        for message in round.leases.messages {
            if message.kind == Kind::Email {
                self.ahead = self.ahead.saturating_sub(1);
            }
            self.flight.start(message, &round.loaded, clock);
        }
        Ok(leased)
    }

    async fn try_round(&mut self, room: u64) -> Result<Round, sqlx::Error> {
        let busy = self.flight.busy();
        let (settings, reach, finished) = (self.settings, &self.reach, &self.flight.finished);
        let since = Instant::now();
        let people = self.people.as_ref();
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                let recorded = record(&mut transaction, finished).await?;
                let mut round = Round {
                    recorded,
                    leases: Leases::default(),
                    loaded: Loaded::default(),
                    since,
                };
                if let (Some(people), true) = (people, room > 0) {
                    let room = i64::try_from(room).unwrap_or(i64::MAX);
                    round.leases = lease(&mut transaction, settings, reach, &busy, room).await?;
                    let messages = &round.leases.messages;
                    round.loaded = load(&mut transaction, people, messages).await?;
                }
                transaction.commit().await?;
                Ok(round)
            })
            .await
    }

    /// Makes another try possible, or gives the error back. The fence tells whether an earlier try was
    /// committed after all; what it leased and nobody knows of is rescued when its lease ends.
    async fn recover(&mut self, error: sqlx::Error, tries: u32) -> Result<(), sqlx::Error> {
        tracing::debug!(sqlstate = sqlstate(&error), tries, "trying again");
        match Fault::of(&error) {
            Fault::Unreachable => {
                self.session = None;
                self.session = Some(self.database.reconnect(self.stop).await?);
                Ok(())
            }
            Fault::Contended | Fault::Blocked if tries < TRIES => {
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
            let looking = self.database.within(look(session, &self.reach));
            match looking.await {
                Ok((waiting, paused)) => {
                    self.report.waiting = waiting;
                    self.report.paused = paused;
                    break;
                }
                Err(error) => self.recover(error, tries).await?,
            }
            tries += 1;
        }
        Ok(())
    }

    /// The run has failed. What is on its way is waited for all the same, and recorded as far as that
    /// can be done, or it would be sent once more.
    async fn see_through(&mut self) {
        while self.flight.sending() > 0 {
            self.flight.wait().await;
        }
        if self.flight.finished.is_empty() {
            return;
        }
        // What fails here is no news.
        match self.try_round(0).await {
            Ok(round) => {
                self.flight.finished.clear();
                tell_of(&round.recorded);
                self.report.add(round.recorded);
            }
            Err(error) => tracing::debug!(sqlstate = sqlstate(&error), "not recorded"),
        }
    }
}

/// Logs what an operator should hear of.
fn tell_of(recorded: &DeliveryReport) {
    for disabled in &recorded.disabled {
        let name = &disabled.name;
        tracing::warn!(
            name,
            cancelled = disabled.cancelled,
            "disabled: {}; once mended: notify-fan-out endpoint enable {name}",
            disabled.reason
        );
    }
    if recorded.lost_leases > 0 {
        tracing::warn!(
            messages = recorded.lost_leases,
            "their leases had ended; others have taken them over"
        );
    }
}
