//! Finding the events that the database refuses among those that could not be written together.
//!
//! Parts of the batch are written behind savepoints of one transaction. A part that is refused is
//! halved until the event that is refused stands alone; the size of the next part follows the share
//! of refused events so far. What is written stays written, and one commit settles all of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Settings;
use super::claim::ClaimedEvent;
use super::requeue::{Requeue, requeue};
use super::write::{Written, commit, prepare, write_part};
use crate::db::{Access, Fault, Session, sqlstate};

/// How long a part waits for a lock: the events that nobody blocks are to go through quickly.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";
/// What is checked at a commit only is to be found with its part.
const RELEASE: &str = "SET CONSTRAINTS ALL IMMEDIATE; RELEASE part; SET CONSTRAINTS ALL DEFERRED";
const ROLLBACK: &str = "ROLLBACK TO part; RELEASE part";
/// After so many of these waits, all that is left waits for another try.
const MOST_BLOCKED: usize = 80;
/// What is written stays locked until the commit, so that comes after so long, or so many parts: the
/// server keeps track of 64 subtransactions well, and of more only with effort.
const LONGEST: Duration = Duration::from_secs(10);
const MOST_PARTS: usize = 60;
/// After so many events that were nobody's fault, with nothing written between, none is tried.
const MOST_TROUBLE: usize = 3;
/// An event that loses the connection so often is refused.
const MOST_LOSSES: u32 = 4;

/// Events of one claim that are written apart.
pub(super) struct Isolation<'e> {
    token: i64,
    events: Vec<&'e ClaimedEvent>,
    /// The batch is a single event: it is written even if its audience is large.
    alone: bool,
    place: Place,
    /// Those that can't be written now, through no fault of theirs.
    blocked: Vec<(&'e ClaimedEvent, sqlx::Error)>,
    /// A connection was lost: each part is committed, so that the part that loses it stands alone.
    is_cautious: bool,
    losses: u32,
    last_loss: Option<sqlx::Error>,
    waits: usize,
    /// What a pass comes to once it is committed.
    passed: Option<(Place, Vec<(&'e ClaimedEvent, sqlx::Error)>)>,
    /// To go on would be in vain for now: everything seems locked, or the server is in trouble.
    pub(super) is_in_vain: bool,
}

/// Where the search stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// All before this are done with.
    next: usize,
    size: usize,
    /// So many from `next` on are known not to go through together.
    suspects: usize,
    refused: usize,
}

impl Place {
    fn is_single(self) -> bool {
        self.size == 1
    }

    fn written(&mut self) {
        self.next += self.size;
        self.suspects = self.suspects.saturating_sub(self.size);
    }

    fn halved(&mut self) {
        self.suspects = self.size;
    }

    fn refused(&mut self) {
        self.next += 1;
        self.suspects = 0;
        self.refused += 1;
    }

    /// Half of a part that is known to be refused; else of a size that is as likely to be refused as not.
    fn resize(&mut self, all: usize) {
        self.size = match self.suspects {
            0 if self.refused == 0 => all,
            0 => self.next * 7 / 10 / self.refused,
            suspects => suspects / 2,
        }
        .clamp(1, (all - self.next).max(1));
    }
}

impl<'e> Isolation<'e> {
    /// Starts with events that failed together with `error`.
    pub(super) fn new(token: i64, events: Vec<&'e ClaimedEvent>, error: &sqlx::Error) -> Self {
        let mut place = Place {
            next: 0,
            size: 1,
            suspects: events.len(),
            refused: 0,
        };
        place.resize(events.len());
        Self {
            token,
            alone: events.len() == 1,
            events,
            place,
            blocked: Vec::new(),
            is_cautious: Fault::of(error) == Fault::Unreachable,
            losses: 0,
            last_loss: None,
            waits: 0,
            passed: None,
            is_in_vain: false,
        }
    }

    /// Whether to go on is of no use: nothing is left, everything seems locked, or the server is in
    /// trouble.
    pub(super) fn is_done(&self) -> bool {
        self.is_in_vain || self.place.next == self.events.len()
    }

    /// What was not written, ascending, and the errors of those that were tried alone.
    pub(super) fn rest(self) -> (Vec<&'e ClaimedEvent>, BTreeMap<i64, sqlx::Error>) {
        let mut left = self.events[self.place.next..].to_vec();
        left.extend(self.blocked.iter().map(|(event, _)| event));
        left.sort_unstable_by_key(|event| event.event_id);
        let errors = self.blocked.into_iter();
        (
            left,
            errors
                .map(|(event, error)| (event.event_id, error))
                .collect(),
        )
    }

    /// Writes what it can in one transaction, and commits it with what becomes of the others. An
    /// error leaves everything as it was.
    pub(super) async fn pass(
        &mut self,
        session: &mut Session,
        settings: &Settings,
        in_doubt: &mut Option<Written>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Written, sqlx::Error> {
        let since = Instant::now();
        let (mut place, all) = (self.place, self.events.len());
        let (mut written, mut parts, mut trouble) = (Written::default(), 0, 0);
        let (mut refused, mut blocked) = (Vec::new(), Vec::new());
        if self.losses >= MOST_LOSSES
            && let Some(error) = self.last_loss.take()
        {
            let event = self.events[place.next];
            refused.push(Requeue::refused(event, self.token, &error, settings));
            place.refused();
        }
        let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
        transaction.command(LOCK_TIMEOUT).await?;
        // Once for all, unless it is there that one of them is refused.
        transaction.command("SAVEPOINT part").await?;
        let (token, left) = (self.token, &self.events[place.next..]);
        let preparing = prepare(&mut transaction, settings, token, left, self.alone);
        let shared = match preparing.await {
            Err(error) if Fault::of(&error) == Fault::Unreachable => return Err(error),
            result => result.ok(),
        };
        let end = if shared.is_some() {
            "RELEASE part"
        } else {
            ROLLBACK
        };
        transaction.command(end).await?;
        while place.next < all {
            let part = &self.events[place.next..place.next + place.size];
            let began = Instant::now();
            transaction.command("SAVEPOINT part").await?;
            let writing = async {
                let own;
                let prepared = if let Some(shared) = &shared {
                    shared
                } else {
                    own = prepare(&mut transaction, settings, token, part, self.alone).await?;
                    &own
                };
                write_part(&mut transaction, settings, prepared, part, written.plans).await
            };
            let result = match writing.await {
                Ok(more) => transaction.command(RELEASE).await.map(|()| more),
                Err(error) => Err(error),
            };
            match result {
                Ok(more) => {
                    written.add(more);
                    place.written();
                    parts += 1;
                }
                Err(error) => {
                    let fault = fault_of(&error, began, settings);
                    if fault == Fault::Unreachable {
                        return Err(error);
                    }
                    transaction.command(ROLLBACK).await?;
                    self.waits += usize::from(fault == Fault::Blocked);
                    if !place.is_single() {
                        place.halved();
                    } else if matches!(fault, Fault::Refused | Fault::Other) {
                        refused.push(Requeue::refused(part[0], self.token, &error, settings));
                        place.refused();
                    } else {
                        trouble += usize::from(fault == Fault::Server);
                        blocked.push((part[0], error));
                        place.refused();
                    }
                }
            }
            place.resize(all);
            let in_trouble = parts == 0 && trouble >= MOST_TROUBLE;
            self.is_in_vain = in_trouble || self.waits >= MOST_BLOCKED;
            if self.is_in_vain
                || self.is_cautious
                || parts >= MOST_PARTS
                || since.elapsed() >= LONGEST
                || is_over()
            {
                break;
            }
        }
        requeue(&mut transaction, &refused, &mut written).await?;
        written.report.batches = 1;
        self.passed = Some((place, blocked));
        let written = commit(transaction, written, in_doubt).await?;
        self.committed();
        Ok(written)
    }

    /// Takes account of a pass that was committed.
    pub(super) fn committed(&mut self) {
        let Some((place, mut blocked)) = self.passed.take() else {
            return;
        };
        if place.next > self.place.next {
            self.losses = 0;
        }
        self.place = place;
        self.blocked.append(&mut blocked);
    }

    /// Takes account of a pass that lost its connection.
    pub(super) fn lost_connection(&mut self, error: sqlx::Error) {
        if !self.is_cautious {
            self.is_cautious = true;
        } else if self.place.is_single() {
            self.losses += 1;
        } else {
            self.place.halved();
            self.place.resize(self.events.len());
        }
        self.last_loss = Some(error);
    }
}

/// Whose fault it is that a part was not written. A statement that was cancelled because its time was
/// over is that of what it had to do; one that somebody cancelled is not.
pub(super) fn fault_of(error: &sqlx::Error, since: Instant, settings: &Settings) -> Fault {
    if sqlstate(error).as_deref() == Some("57014") && since.elapsed() >= settings.stuck_after {
        return Fault::Other;
    }
    Fault::of(error)
}
