//! Writing what can be written of events that could not be written together.
//!
//! The database is asked which of them it refuses; the others are written behind a savepoint. Where
//! that fails all the same, half of them are tried, until the event that is refused stands alone. What
//! is written stays written, and one commit settles all of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::FanOutSettings;
use super::decode::DecodedEvent;
use super::probe::{Refused, probe};
use super::requeue::{Requeue, requeue};
use super::steps::Until;
use super::write::{Written, insert, prepare};
use crate::db::{ErrorClass, Transaction, sqlstate};

/// How long a part waits for a lock: the events that nobody blocks are to go through quickly.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";
/// What is checked at a commit only is found with its part.
const RELEASE: &str = "SET CONSTRAINTS ALL IMMEDIATE; RELEASE part; SET CONSTRAINTS ALL DEFERRED";
const ROLLBACK: &str = "ROLLBACK TO part; RELEASE part";
/// After so many of these waits, all that is left waits for another try.
const MOST_BLOCKED: usize = 80;
/// What is written stays locked until the commit, so that comes after so long, or so many parts: the
/// server keeps track of 64 subtransactions well, and of more only with effort.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_PARTS: usize = 60;
/// After so many events that were blocked by trouble of the server, with nothing written between, none is tried.
const MOST_TROUBLE: usize = 3;
/// An event that loses the connection so often is refused.
const MOST_LOSSES: u32 = 4;

/// Events of one claim that are written apart.
pub(super) struct Isolation<'e> {
    token: i64,
    events: Vec<&'e DecodedEvent>,
    /// All before this are done with, and so many are tried next.
    next: usize,
    size: usize,
    /// Those that can't be written now, for a reason outside of them.
    blocked: Vec<(&'e DecodedEvent, sqlx::Error)>,
    /// A connection was lost: each part is committed, so that the part that loses it stands alone.
    is_cautious: bool,
    losses: u32,
    last_loss: Option<sqlx::Error>,
    waits: usize,
    /// Whether the database refused one of them.
    pub(super) has_refused: bool,
    /// To go on would be in vain for now: everything seems locked, or the server is in trouble.
    pub(super) is_in_vain: bool,
}

/// What one transaction does with them, once it is committed.
#[derive(Default)]
pub(super) struct Pass<'e> {
    next: usize,
    size: usize,
    parts: usize,
    refused: Vec<Requeue>,
    blocked: Vec<(&'e DecodedEvent, sqlx::Error)>,
    waits: usize,
    trouble: usize,
}

impl<'e> Pass<'e> {
    fn advance(&mut self, events: usize) {
        self.next += events;
        self.size *= 2;
    }

    fn leave_out(
        &mut self,
        event: &'e DecodedEvent,
        token: i64,
        class: ErrorClass,
        error: sqlx::Error,
        settings: &FanOutSettings,
    ) {
        if matches!(class, ErrorClass::Refused | ErrorClass::Other) {
            let refused = Requeue::refused(event, token, &error, settings);
            return self.refused.push(refused);
        }
        self.waits += usize::from(class == ErrorClass::Blocked);
        self.trouble += usize::from(class == ErrorClass::Server);
        self.blocked.push((event, error));
    }
}

impl<'e> Isolation<'e> {
    /// Starts with events that failed together, or are likely to.
    pub(super) fn new(
        token: i64,
        events: Vec<&'e DecodedEvent>,
        error: Option<&sqlx::Error>,
    ) -> Self {
        let class = error.map(ErrorClass::of);
        let size = match class {
            // The database can't tell which of them it was.
            Some(ErrorClass::Unreachable | ErrorClass::Server) => events.len().div_ceil(2),
            _ => events.len(),
        };
        Self {
            token,
            events,
            next: 0,
            size,
            blocked: Vec::new(),
            is_cautious: class == Some(ErrorClass::Unreachable),
            losses: 0,
            last_loss: None,
            waits: 0,
            has_refused: false,
            is_in_vain: false,
        }
    }

    /// Whether to go on is of no use: nothing is left, everything seems locked, or the server is in
    /// trouble.
    pub(super) fn is_done(&self) -> bool {
        self.is_in_vain || self.next == self.events.len()
    }

    /// What was not written, ascending, and the errors of those that were tried alone.
    pub(super) fn rest(self) -> (Vec<&'e DecodedEvent>, BTreeMap<i64, sqlx::Error>) {
        let mut left = self.events[self.next..].to_vec();
        left.extend(self.blocked.iter().map(|(event, _)| event));
        left.sort_unstable_by_key(|event| event.event_id);
        let errors = self.blocked.into_iter();
        let errors = errors.map(|(event, error)| (event.event_id, error));
        (left, errors.collect())
    }

    /// Writes what it can in one transaction, and what becomes of the others.
    pub(super) async fn pass(
        &mut self,
        transaction: &mut Transaction<'_>,
        settings: &FanOutSettings,
        until: &Until,
    ) -> Result<(Pass<'e>, Written), sqlx::Error> {
        let since = Instant::now();
        let mut written = Written::default();
        let mut pass = Pass {
            next: self.next,
            size: self.size,
            ..Pass::default()
        };
        if self.losses >= MOST_LOSSES
            && let Some(error) = self.last_loss.take()
        {
            let event = self.events[pass.next];
            let refused = Requeue::refused(event, self.token, &error, settings);
            pass.refused.push(refused);
            pass.advance(1);
        }
        transaction.command(LOCK_TIMEOUT).await?;
        while pass.next < self.events.len() {
            self.part(transaction, settings, &mut pass, &mut written)
                .await?;
            let in_trouble = pass.parts == 0 && pass.trouble >= MOST_TROUBLE;
            self.is_in_vain = in_trouble || self.waits + pass.waits >= MOST_BLOCKED;
            if self.is_in_vain
                || self.is_cautious
                || pass.parts >= MOST_PARTS
                || since.elapsed() >= LONGEST
                || until.is_over()
            {
                break;
            }
        }
        written.add(requeue(transaction, &pass.refused).await?);
        written.report.batches = 1;
        Ok((pass, written))
    }

    /// Takes account of a pass that was committed.
    pub(super) fn committed(&mut self, mut pass: Pass<'e>) {
        if pass.next > self.next {
            self.losses = 0;
        }
        (self.next, self.size) = (pass.next, pass.size);
        self.has_refused |= !pass.refused.is_empty();
        self.waits += pass.waits;
        self.blocked.append(&mut pass.blocked);
    }

    /// Writes the next part behind a savepoint. It is an error to lose the connection.
    async fn part(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &FanOutSettings,
        pass: &mut Pass<'e>,
        written: &mut Written,
    ) -> Result<(), sqlx::Error> {
        let until = self.events.len().min(pass.next + pass.size);
        let (token, part) = (self.token, &self.events[pass.next..until]);
        let began = Instant::now();
        transaction.command("SAVEPOINT part").await?;
        let writing = self.write(transaction, settings, part, written);
        let error = match writing.await {
            Ok((tried, refused)) => {
                pass.parts += usize::from(tried > refused.len());
                pass.advance(tried);
                for (event, error) in refused {
                    pass.leave_out(event, token, ErrorClass::of(&error), error, settings);
                }
                return Ok(());
            }
            Err(error) => error,
        };
        let class = class_of(&error, began, settings);
        if class == ErrorClass::Unreachable {
            return Err(error);
        }
        transaction.command(ROLLBACK).await?;
        if let &[event] = part {
            pass.leave_out(event, token, class, error, settings);
            pass.advance(1);
        } else {
            pass.waits += usize::from(class == ErrorClass::Blocked);
            pass.size = part.len() / 2;
        }
        Ok(())
    }

    /// Writes events but for those that the database refuses, which it returns, with the number of
    /// those that there was time for.
    async fn write(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &FanOutSettings,
        events: &[&'e DecodedEvent],
        written: &mut Written,
    ) -> Result<(usize, Refused<'e>), sqlx::Error> {
        let alone = self.events.len() == 1;
        let mut prepared = prepare(transaction, settings, self.token, events, alone).await?;
        let (tried, refused) = match events {
            [_] => (1, Vec::new()),
            _ => probe(transaction, settings, &prepared, events).await?,
        };
        let mut good: Vec<_> = events[..tried].iter().map(|event| event.event_id).collect();
        for (event, _) in &refused {
            good.retain(|event_id| *event_id != event.event_id);
        }
        prepared.retain(|event_id| good.binary_search(&event_id).is_ok());
        let more = if good.is_empty() {
            Written::default()
        } else {
            insert(transaction, settings, prepared, written.plans).await?
        };
        transaction.command(RELEASE).await?;
        written.add(more);
        Ok((tried, refused))
    }

    /// Takes account of a pass that lost its connection.
    pub(super) fn lost_connection(&mut self, error: sqlx::Error) {
        let size = self.size.min(self.events.len() - self.next);
        if !self.is_cautious {
            self.is_cautious = true;
        } else if size == 1 {
            self.losses += 1;
        } else {
            self.size = size / 2;
        }
        self.last_loss = Some(error);
    }
}

/// The class of the error of a part. A statement that ran out of time is charged to its events; one
/// that somebody cancelled is not.
pub(super) fn class_of(
    error: &sqlx::Error,
    since: Instant,
    settings: &FanOutSettings,
) -> ErrorClass {
    if sqlstate(error).as_deref() == Some("57014") && since.elapsed() >= settings.stuck_after {
        return ErrorClass::Other;
    }
    ErrorClass::of(error)
}
