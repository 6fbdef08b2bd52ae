//! Records results together, or one by one where that fails, for as long as their leases last: an
//! unrecorded message is sent again.

use std::time::{Duration, Instant};

use super::Run;
use crate::channels::Channel;
use crate::db::{Access, ErrorClass, Transaction, Unnamed, sqlstate};
use crate::delivery::finished::Finished;
use crate::delivery::lease::lease;
use crate::delivery::leased::Leased;
use crate::delivery::load::{Loaded, load};
use crate::delivery::record::record;
use crate::delivery::report::DeliveryReport;
use crate::delivery::retry_policy::Next;

/// Pause before another try to record a result.
const PAUSE: Duration = Duration::from_secs(1);

/// Results that could not be recorded yet.
#[derive(Debug, Default)]
pub(super) struct Unrecorded {
    deliveries: Vec<Finished>,
    emails: Vec<LateEmail>,
    /// The last try.
    tried_at: Option<Instant>,
}

/// Result of one transaction.
#[derive(Default)]
struct Round {
    recorded: DeliveryReport,
    leased: Vec<Leased>,
    loaded: Loaded,
    /// Of its transaction, once only the COMMIT is left.
    xid: Option<i64>,
}

/// What the transaction of one delivery did.
#[derive(Default)]
struct Recorded {
    report: DeliveryReport,
    late_emails: Vec<LateEmail>,
    /// As in [`Round`].
    xid: Option<i64>,
}

/// An e-mail of a recorded delivery, with the reason if it was left out.
type LateEmail = (i64, Option<&'static str>);

impl Unrecorded {
    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    fn is_due(&self) -> bool {
        !self.deliveries.is_empty() && self.tried_at.is_none_or(|at| at.elapsed() >= PAUSE)
    }

    /// Waits until the next try is due. `false`: there is nothing to record.
    pub(super) async fn wait(&self) -> bool {
        if self.deliveries.is_empty() {
            return false;
        }
        let passed = self.tried_at.map_or(PAUSE, |at| at.elapsed());
        tokio::time::sleep(PAUSE.saturating_sub(passed)).await;
        true
    }
}

impl Run<'_> {
    /// Records results and leases up to `room` deliveries in one transaction, which is tried again after a
    /// conflict or a lost connection. Returns how many were leased.
    pub(super) async fn round(&mut self, room: u64) -> Result<u64, sqlx::Error> {
        let mut tries = 1;
        let (round, since) = loop {
            let (mut round, since) = (Round::default(), Instant::now());
            let Err(error) = self.try_round(room, &mut round).await else {
                break (round, since);
            };
            let is_reachable = ErrorClass::of(&error) != ErrorClass::Unreachable;
            if is_reachable && !self.in_flight.finished.is_empty() {
                tracing::debug!(sqlstate = sqlstate(&error), "recorded one by one");
                self.record_apart().await?;
            } else if self
                .connection
                .recover_from(error, tries, round.xid)
                .await?
            {
                // What it leased is sent, and what it recorded counts once.
                break (round, since);
            }
            tries += 1;
        };
        self.in_flight.finished.clear();
        self.note(round.recorded);
        let count = round.leased.len() as u64;
        for leased in round.leased {
            if leased.channel == Channel::Email {
                self.ahead = self.ahead.saturating_sub(1);
            }
            self.in_flight.start(leased, &round.loaded, since);
        }
        Ok(count)
    }

    async fn try_round(&mut self, room: u64, round: &mut Round) -> Result<(), sqlx::Error> {
        let busy = self.in_flight.busy();
        let (settings, capabilities) = (self.settings, &self.capabilities);
        let (finished, people) = (&self.in_flight.finished, self.people.as_ref());
        let access = if finished.is_empty() {
            Access::ReadWrite
        } else {
            Access::Brief
        };
        let working = self.connection.transact(access, async |transaction| {
            let (recorded, mut xid) = record(transaction, finished, true).await?;
            round.recorded = recorded;
            if let (Some(people), true) = (people, room > 0) {
                round.leased = lease(transaction, settings, capabilities, &busy, room).await?;
                round.loaded = load(transaction, settings, people, &round.leased).await?;
                xid = round.leased.first().map(|leased| leased.xid).or(xid);
            }
            round.xid = xid;
            Ok(())
        });
        working.await
    }

    /// Records results one by one: a row that is refused or locked delays no other, and is tried again
    /// while its lease lasts.
    async fn record_apart(&mut self) -> Result<(), sqlx::Error> {
        self.unrecorded.tried_at = Some(Instant::now());
        while let Some(one) = self.in_flight.finished.pop() {
            let mut recorded = Recorded::default();
            if let Err(error) = self.try_record(&one, &mut recorded).await {
                tracing::warn!(
                    delivery_id = one.leased.id,
                    status = one.decision.next.status().name(),
                    "could not be recorded, and is tried again while its lease lasts: {error}"
                );
                self.unrecorded.deliveries.push(one);
                let is_lost = ErrorClass::of(&error) == ErrorClass::Unreachable;
                if !is_lost || !self.connection.recover_from(error, 1, recorded.xid).await? {
                    continue;
                }
                self.unrecorded.deliveries.pop();
            }
            self.unrecorded.emails.append(&mut recorded.late_emails);
            self.note(recorded.report);
        }
        Ok(())
    }

    /// Records one delivery, and then each of its e-mails in a savepoint.
    async fn try_record(
        &mut self,
        one: &Finished,
        recorded: &mut Recorded,
    ) -> Result<(), sqlx::Error> {
        let recording = self
            .connection
            .transact(Access::Brief, async |transaction| {
                let (report, xid) = record(transaction, std::slice::from_ref(one), false).await?;
                if report.lost_leases == 0 && one.leased.channel == Channel::Email {
                    recorded.late_emails = settle_emails(transaction, one).await?;
                }
                (recorded.report, recorded.xid) = (report, xid);
                Ok(())
            });
        recording.await
    }

    /// Tries again to record results.
    pub(super) async fn record_late(&mut self) -> Result<(), sqlx::Error> {
        if !self.unrecorded.is_due() {
            return Ok(());
        }
        for one in std::mem::take(&mut self.unrecorded.deliveries) {
            if one.lease_ends > Instant::now() {
                self.in_flight.finished.push(one);
                continue;
            }
            tracing::error!(
                delivery_id = one.leased.id,
                status = one.decision.next.status().name(),
                "could not be recorded before its lease ended"
            );
            self.report.lost_leases += 1;
        }
        self.record_apart().await
    }

    /// Settles the e-mails that could not be settled with their deliveries.
    pub(super) async fn settle_late_emails(&mut self) -> Result<(), sqlx::Error> {
        while let Some((id, why)) = self.unrecorded.emails.pop() {
            let settling = self
                .connection
                .retry(Access::ReadWrite, async |transaction| {
                    settle(transaction, id, why).await
                });
            match settling.await {
                Err(error) if ErrorClass::of(&error) == ErrorClass::Unreachable => {
                    return Err(error);
                }
                Err(error) => tracing::error!(
                    pending_email = id,
                    "stays 'processing', although its delivery is recorded: {error}"
                ),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// After a failed run, awaits the messages in flight and records as many results as possible: what is
    /// not recorded is sent again.
    pub(super) async fn record_what_was_sent(&mut self, failure: &sqlx::Error) {
        while self.in_flight.len() > 0 {
            self.in_flight.wait().await;
        }
        if !self.connection.is_open() {
            return;
        }
        // The run has already waited for an unreachable database.
        let mut is_reachable = ErrorClass::of(failure) != ErrorClass::Unreachable;
        self.unrecorded
            .deliveries
            .append(&mut self.in_flight.finished);
        self.unrecorded.tried_at = None;
        while !self.unrecorded.deliveries.is_empty() {
            let tried = self.record_late().await;
            is_reachable &= tried.is_ok();
            if !is_reachable {
                return;
            }
            self.unrecorded.wait().await;
        }
        if let Err(error) = self.settle_late_emails().await {
            tracing::debug!(sqlstate = sqlstate(&error), "e-mails are not settled");
        }
    }

    /// Counts what was recorded, and logs what an operator must know.
    fn note(&mut self, recorded: DeliveryReport) {
        for disabled in &recorded.disabled {
            let name = &disabled.name;
            tracing::warn!(
                name,
                cancelled = disabled.cancelled,
                "disabled: {}; once fixed: notify-fan-out endpoint enable {name}",
                disabled.reason
            );
        }
        if recorded.lost_leases > 0 {
            tracing::warn!(
                messages = recorded.lost_leases,
                "not recorded: their leases had expired, and other workers have reclaimed them"
            );
        }
        self.report.add(recorded);
    }
}

/// Settles the e-mails of a recorded delivery, and returns those that cannot be settled now.
async fn settle_emails(
    transaction: &mut Transaction<'_>,
    one: &Finished,
) -> Result<Vec<LateEmail>, sqlx::Error> {
    let is_over = !matches!(one.decision.next, Next::Retry { .. });
    let ids = sqlx::query_scalar!(
        r#"SELECT id AS "id!" FROM pending_emails
            WHERE delivery_id = $1 AND status = 'processing' ORDER BY id"#,
        one.leased.id
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let mut late = Vec::new();
    for id in ids {
        let left_out = one.left_out.iter().find(|(left_out, _)| *left_out == id);
        let why = left_out.map(|(_, why)| *why);
        if why.is_none() && !is_over {
            continue;
        }
        let settled =
            transaction.in_savepoint(async |transaction| settle(transaction, id, why).await);
        if let Err(error) = settled.await? {
            tracing::debug!(
                sqlstate = sqlstate(&error),
                pending_email = id,
                "settled later"
            );
            late.push((id, why));
        }
    }
    Ok(late)
}

async fn settle(
    transaction: &mut Transaction<'_>,
    id: i64,
    why: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/delivery/settle_email.sql", id, why)
        .execute(Unnamed(transaction))
        .await?;
    Ok(())
}
