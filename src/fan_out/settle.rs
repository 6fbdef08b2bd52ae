//! Settling a claim: all of it at once, else apart. What can't be written now is released.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::FanOutSettings;
use super::decode::DecodedEvent;
use super::holders::Holders;
use super::isolate::{Isolation, class_of};
use super::requeue::{Requeue, described, requeue};
use super::run::RunFailed;
use super::steps::{CONTENDED_PAUSE, FanOut, Until};
use super::write::{Written, write};
use crate::db::{ErrorClass, sqlstate};

/// Events are written this often where other transactions are in their way, or the connection is lost.
const WRITE_TRIES: u32 = 4;
/// Claims are ended this often: a server in trouble may let it through a moment later.
const RELEASE_TRIES: u32 = 3;
const RELEASE_PAUSE: Duration = Duration::from_millis(500);

/// A claim in hand.
struct InHand<'e> {
    token: i64,
    /// Those that are not settled, ascending.
    left: Vec<&'e DecodedEvent>,
    /// Why they could not be written, of those that were tried alone; and of the others.
    errors: BTreeMap<i64, sqlx::Error>,
    reason: Option<String>,
    set_aside: Vec<i64>,
    holders: Holders,
    until: Until,
}

impl InHand<'_> {
    /// Whether to go on is of no use.
    fn is_done(&self) -> bool {
        let mut errors = self.errors.values();
        let in_trouble = errors.any(|error| ErrorClass::of(error) == ErrorClass::Server);
        self.left.is_empty() || in_trouble || self.until.is_over()
    }

    /// What becomes of those that are left.
    fn rest(&mut self, settings: &FanOutSettings) -> Vec<Requeue> {
        let is_over = self.until.is_over();
        let token = self.token;
        let rest = self.left.drain(..).map(|event| {
            let reason = match self.errors.get(&event.event_id) {
                Some(error) if ErrorClass::of(error) == ErrorClass::Contended && !is_over => {
                    return Requeue::refused(event, token, error, settings);
                }
                Some(error) => Some(reason(error, &self.holders)),
                None => self.reason.clone(),
            };
            Requeue::released(event.event_id, token, reason)
        });
        rest.collect()
    }
}

/// Why an event was released, for its row.
fn reason(error: &sqlx::Error, holders: &Holders) -> String {
    match (ErrorClass::of(error), &holders.seen) {
        (ErrorClass::Server, _) => described("server error", error),
        (_, Some(seen)) => format!("{}; held by {seen}", described("lock timeout", error)),
        _ => described("lock timeout", error),
    }
}

impl FanOut<'_> {
    /// Settles the events of a claim: written; refused, which spends the attempt; or released, where
    /// another transaction or the server is in the way, or the time is over.
    pub(super) async fn settle(
        &mut self,
        token: i64,
        events: Vec<DecodedEvent>,
    ) -> Result<(), RunFailed> {
        let since = Instant::now();
        let before = self.counts();
        let mut batch = InHand {
            token,
            left: events.iter().collect(),
            errors: BTreeMap::new(),
            reason: None,
            set_aside: Vec::new(),
            holders: Holders::new(self.database.clone()),
            until: self.until.clone(),
        };
        let result = self.work_off(&mut batch).await;
        let rest = batch.rest(self.settings);
        self.end_claims(&rest).await;
        let mut errors = batch.errors.into_values();
        let trouble = errors.find(|error| ErrorClass::of(error) == ErrorClass::Server);
        let result = result.and(trouble.map_or(Ok(()), |error| Err(error.into())));

        let mut set_aside = batch.set_aside;
        set_aside.sort_unstable();
        self.log_settled(token, &events, before, since);
        let large = events
            .into_iter()
            .filter(|event| set_aside.binary_search(&event.event_id).is_ok());
        self.set_aside(token, since, large);
        result
    }

    /// Writes what it can. Time and stop are asked before each try but the first.
    async fn work_off(&mut self, batch: &mut InHand<'_>) -> Result<(), RunFailed> {
        if self.is_refusing && batch.left.len() > 1 {
            self.isolate(batch, None).await?;
            if batch.is_done() {
                return Ok(());
            }
        }
        for _ in 0..WRITE_TRIES {
            let (class, error) = match self.write_together(batch).await {
                Ok(written) => {
                    batch.left.clear();
                    self.took(written, batch);
                    return Ok(());
                }
                Err(failed) => failed,
            };
            if self.session.is_none() {
                // Out of reach for a release, too.
                batch.left.clear();
                return Err(error.into());
            }
            if is_too_slow(class, &error) && batch.until.is_over() {
                // Released with its attempt it would take all the time of the next run as well: it is
                // left to the rescue, as if it had ended the process.
                batch.left.clear();
                return Ok(());
            }
            if let [event] = batch.left[..]
                && matches!(class, ErrorClass::Refused | ErrorClass::Other)
            {
                batch.left.clear();
                let refused = Requeue::refused(event, batch.token, &error, self.settings);
                self.end_claims(&[refused]).await;
                return Ok(());
            }
            batch.reason = matches!(class, ErrorClass::Blocked | ErrorClass::Server)
                .then(|| reason(&error, &batch.holders));
            if batch.until.is_over() {
                return match class {
                    ErrorClass::Server => Err(error.into()),
                    _ => Ok(()),
                };
            }
            self.isolate(batch, Some(&error)).await?;
            if batch.is_done() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes all that is left in one transaction; again where another one was in the way or the
    /// connection was lost.
    async fn write_together(
        &mut self,
        batch: &mut InHand<'_>,
    ) -> Result<Written, (ErrorClass, sqlx::Error)> {
        let (settings, token) = (self.settings, batch.token);
        let (left, holders) = (&batch.left, &mut batch.holders);
        let mut tries = 1;
        loop {
            let began = Instant::now();
            let writing = self.transact(left.len(), async |transaction| {
                write(transaction, settings, token, left, holders).await
            });
            let error = match writing.await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            let class = class_of(&error, began, settings);
            if let (ErrorClass::Blocked, Some(holders)) = (class, &holders.seen) {
                tracing::warn!("waited in vain for a lock held by {holders}");
            }
            let is_again = match class {
                ErrorClass::Contended => true,
                ErrorClass::Unreachable => self.session.is_some(),
                _ => false,
            };
            if !is_again || tries >= WRITE_TRIES || batch.until.is_over() {
                return Err((class, error));
            }
            tracing::debug!(
                sqlstate = sqlstate(&error),
                tries,
                "writing the batch again"
            );
            tokio::time::sleep(CONTENDED_PAUSE * tries).await;
            tries += 1;
        }
    }

    /// Writes what is left apart, as far as time and locks allow.
    async fn isolate(
        &mut self,
        batch: &mut InHand<'_>,
        error: Option<&sqlx::Error>,
    ) -> Result<(), RunFailed> {
        let (settings, until) = (self.settings, &self.until.clone());
        let left = std::mem::take(&mut batch.left);
        let mut isolation = Isolation::new(batch.token, left, error);
        let mut result = Ok(());
        while result.is_ok() && !isolation.is_done() && !until.is_over() {
            let mut passed = None;
            let passing = self.transact(usize::MAX, async |transaction| {
                let (pass, written) = isolation.pass(transaction, settings, until).await?;
                passed = Some(pass);
                Ok(written)
            });
            match passing.await {
                Ok(written) => {
                    if let Some(pass) = passed {
                        isolation.committed(pass);
                    }
                    self.took(written, batch);
                }
                Err(error) if ErrorClass::of(&error) == ErrorClass::Unreachable => {
                    match self.session {
                        Some(_) => isolation.lost_connection(error),
                        None => result = Err(error.into()),
                    }
                }
                // The other statements of the pass: no event is the cause.
                Err(error) => {
                    batch.reason = Some(reason(&error, &batch.holders));
                    result = Err(error.into());
                }
            }
        }
        if result.is_ok() && !isolation.is_in_vain {
            batch.reason = None;
        }
        self.is_refusing = isolation.has_refused;
        (batch.left, batch.errors) = isolation.rest();
        result
    }

    /// Takes account of what was written.
    fn took(&mut self, written: Written, batch: &mut InHand<'_>) {
        if written.report.lost_claims > 0 {
            tracing::warn!(
                events = written.report.lost_claims,
                "claims were reset while in hand; nothing was written for them"
            );
        }
        self.report.add(&written.report);
        batch.set_aside.extend(written.set_aside);
    }

    /// Ends claims whose events were not written. Where not even that can be done, they are left to
    /// the rescue.
    pub(super) async fn end_claims(&mut self, events: &[Requeue]) {
        let mut tries = 1;
        while !events.is_empty() && self.session.is_some() {
            let ending = self.transact(events.len(), async |transaction| {
                requeue(transaction, events).await
            });
            let error = match ending.await {
                Ok(Written { report, .. }) => {
                    if report.released > 0 {
                        tracing::warn!(events = report.released, "released with their attempt");
                    }
                    return self.report.add(&report);
                }
                Err(error) => error,
            };
            if self.session.is_none() || tries >= RELEASE_TRIES {
                let code = sqlstate(&error);
                tracing::warn!(
                    events = events.len(),
                    sqlstate = code,
                    "claims could not be ended; left to the rescue"
                );
                return;
            }
            tokio::time::sleep(RELEASE_PAUSE * tries).await;
            tries += 1;
        }
    }

    fn counts(&self) -> [u64; 5] {
        let report = &self.report;
        [
            report.events + report.failed + report.retried,
            report.notifications,
            report.merged,
            report.emails,
            report.deliveries,
        ]
    }

    fn log_settled(&self, token: i64, events: &[DecodedEvent], before: [u64; 5], since: Instant) {
        let counts = self.counts();
        let [settled, notifications, merged, emails, deliveries] =
            std::array::from_fn(|no| counts[no] - before[no]);
        if settled > 0 {
            tracing::info!(
                claim = token,
                events = settled,
                first_event_id = events.first().map(|event| event.event_id),
                last_event_id = events.last().map(|event| event.event_id),
                notifications,
                merged,
                emails,
                deliveries,
                seconds = since.elapsed().as_secs_f64(),
                "batch settled",
            );
        }
    }
}

/// Whether a statement took all of the time that it may.
fn is_too_slow(class: ErrorClass, error: &sqlx::Error) -> bool {
    class == ErrorClass::Other && sqlstate(error).as_deref() == Some("57014")
}
