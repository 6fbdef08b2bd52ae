//! Promotes queued e-mails to deliveries: one each, or one for all of a digest.

use super::report::DeliveryReport;
use super::retry_policy::Next;
use super::savepoint::in_savepoint;
use super::{DIGEST, DeliverySettings};
use crate::channels::Channel;
use crate::db::{ErrorClass, Transaction, Unnamed, sqlstate};

/// Key of the advisory lock; any constant does.
const LOCK_KEY: i64 = 0x006e_6f74_6966_7903;
/// E-mails promoted in one statement.
const MAILS: i64 = 1_000;
/// E-mails of one digest; the rest waits for the next window.
const DIGEST_MOST: i64 = 10_000;

/// More consecutive refusals than this are not caused by single rows.
const REFUSED_MOST: usize = 100;
/// How many of the next batches are searched for an e-mail that the database accepts.
const NEIGHBOURS: usize = 10;

/// `pending_emails.delivery_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    Immediate,
    Aggregated,
}

/// The queued e-mails of one timing, as far as this run knows.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) timing: Timing,
    /// E-mails of the next batch. Halved when the database refuses one, until that row is alone.
    most: i64,
    /// Rows that the database lets nobody change; skipped.
    left_alone: Vec<i64>,
    /// Consecutive failures.
    pub(super) tries: u32,
    /// Consecutive rows that the database refused.
    refused: usize,
    pub(super) is_empty: bool,
}

/// Result of one batch.
#[derive(Debug, Default)]
pub(super) struct Promoted {
    pub(super) report: DeliveryReport,
    /// Pending deliveries that were made.
    pub(super) deliveries: u64,
}

impl Queue {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            most: MAILS,
            left_alone: Vec::new(),
            tries: 0,
            refused: 0,
            is_empty: false,
        }
    }

    /// Records that a batch was promoted.
    pub(super) fn advance(&mut self, promoted: &Promoted) {
        (self.tries, self.refused) = (0, 0);
        self.most = (self.most * 2).min(MAILS);
        self.is_empty = promoted.report.mails == 0;
    }

    /// Makes the next batch smaller. `false`: it has one row already.
    pub(super) fn halve(&mut self) -> bool {
        self.tries = 0;
        let can_halve = self.most > 1;
        self.most = (self.most / 2).max(1);
        can_halve
    }

    pub(super) async fn promote(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
    ) -> Result<Promoted, sqlx::Error> {
        lock(transaction).await?;
        let promoted = match self.timing {
            Timing::Immediate => self.promote_mails(transaction, settings).await?,
            Timing::Aggregated => self.promote_digests(transaction, settings).await?,
        };
        if promoted.report.dead > 0 {
            tracing::warn!(
                deliveries = promoted.report.dead,
                "e-mails older than NOTIFY_DELIVERY_MAX_AGE became dead letters"
            );
        }
        Ok(promoted)
    }

    async fn promote_mails(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
    ) -> Result<Promoted, sqlx::Error> {
        let max_age = settings.max_age.as_secs_f64();
        let rows = sqlx::query_file!(
            "src/delivery/promote_emails.sql",
            self.most,
            max_age,
            &self.left_alone
        )
        .fetch_all(Unnamed(transaction))
        .await?;
        let mut promoted = Promoted::default();
        for row in rows {
            let mails = row.mails.unsigned_abs();
            promoted.report.mails += mails;
            let Some(next) = Next::ended(&row.status)? else {
                promoted.deliveries += mails;
                continue;
            };
            let report = &mut promoted.report;
            report.count(Channel::Email, &row.event_type, next, mails);
        }
        Ok(promoted)
    }

    async fn promote_digests(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
    ) -> Result<Promoted, sqlx::Error> {
        let row = sqlx::query_file!(
            "src/delivery/promote_digests.sql",
            settings.digest_every.as_secs_f64(),
            self.most,
            settings.max_age.as_secs_f64(),
            DIGEST_MOST,
            &self.left_alone,
        )
        .fetch_one(Unnamed(transaction))
        .await?;
        let mut report = DeliveryReport {
            mails: row.mails.unsigned_abs(),
            digests: row.digests.unsigned_abs(),
            ..DeliveryReport::default()
        };
        if row.expired > 0 {
            let expired = row.expired.unsigned_abs();
            report.count(Channel::Email, DIGEST, Next::Dead, expired);
        }
        Ok(Promoted {
            deliveries: report.digests,
            report,
        })
    }

    /// Fails the rows of the smallest batch that the database refuses: an e-mail, or those of one
    /// recipient's digest that it refuses one by one, or else all of them.
    ///
    /// `None`: it seems to refuse every row, or not because of a row, and nothing is changed.
    pub(super) async fn fail_refused(
        &mut self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
        refusal: &sqlx::Error,
    ) -> Result<Option<DeliveryReport>, sqlx::Error> {
        lock(transaction).await?;
        // A deferred trigger must report its error for each row, not at the end.
        transaction.command("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let ids = self
            .smallest_batch(transaction, settings, &self.left_alone)
            .await?;
        self.refused += 1;
        if ids.is_empty() || self.refused > REFUSED_MOST {
            return Ok(None);
        }
        let mut refused = Vec::new();
        let mut is_of_a_row = is_of_a_row(refusal);
        if ids.len() > 1 || !is_of_a_row {
            transaction.command("SAVEPOINT probes").await?;
            for &id in &ids {
                let error = probe(transaction, id).await?.err();
                refused.extend(error.map(|error| (id, problem_of(&error))));
            }
            is_of_a_row |= !refused.is_empty()
                && (refused.len() < ids.len()
                    || self.takes_another(transaction, settings, &ids).await?);
            transaction.command("ROLLBACK TO SAVEPOINT probes").await?;
        }
        if !is_of_a_row {
            return Ok(None);
        }
        if refused.is_empty() {
            refused = ids.iter().map(|id| (*id, problem_of(refusal))).collect();
        }
        let mut report = DeliveryReport::default();
        for (id, problem) in refused {
            let reason = format!("dead: the database refuses it: {problem}");
            let failed = in_savepoint(transaction, async |transaction| {
                sqlx::query_file_scalar!("src/delivery/fail_email.sql", id, reason)
                    .fetch_optional(Unnamed(transaction))
                    .await
            });
            match failed.await? {
                Ok(event_type) => {
                    tracing::error!(
                        pending_email = id,
                        "failed: the database refuses it: {problem}"
                    );
                    let event_type = event_type.unwrap_or_default();
                    report.count(Channel::Email, &event_type, Next::Dead, 1);
                    report.mails += 1;
                }
                Err(error) => {
                    tracing::error!(
                        pending_email = id,
                        "unchanged: the database refuses every change of it: {error}"
                    );
                    self.left_alone.push(id);
                }
            }
        }
        Ok(Some(report))
    }

    /// The e-mails of the smallest batch that can be promoted, without these.
    async fn smallest_batch(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
        without: &[i64],
    ) -> Result<Vec<i64>, sqlx::Error> {
        sqlx::query_file_scalar!(
            "src/delivery/smallest_batch.sql",
            self.timing == Timing::Aggregated,
            settings.digest_every.as_secs_f64(),
            DIGEST_MOST,
            without,
        )
        .fetch_all(Unnamed(transaction))
        .await
    }

    /// Whether the database accepts one of the next e-mails: an error that all cause is not a row's.
    async fn takes_another(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
        refused: &[i64],
    ) -> Result<bool, sqlx::Error> {
        let mut known = [&self.left_alone, refused].concat();
        for _ in 0..NEIGHBOURS {
            let others = self.smallest_batch(transaction, settings, &known).await?;
            for &id in &others {
                if probe(transaction, id).await?.is_ok() {
                    return Ok(true);
                }
            }
            known.extend(others);
        }
        Ok(false)
    }
}

/// Does to an e-mail what a promotion does.
async fn probe(
    transaction: &mut Transaction<'_>,
    id: i64,
) -> Result<Result<(), sqlx::Error>, sqlx::Error> {
    in_savepoint(transaction, async |transaction| {
        sqlx::query_file!("src/delivery/probe.sql", id)
            .execute(Unnamed(transaction))
            .await
            .map(drop)
    })
    .await
}

/// Whether an error is caused by a row: others may be accepted.
fn is_of_a_row(error: &sqlx::Error) -> bool {
    match ErrorClass::of(error) {
        ErrorClass::Refused | ErrorClass::Contended => true,
        // A function of the application raised it, or the row is too large for an index.
        _ => sqlstate(error).is_some_and(|code| code == "P0001" || code.starts_with("54")),
    }
}

fn problem_of(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(refusal) => refusal.message().to_owned(),
        None => error.to_string(),
    }
}

async fn lock(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    sqlx::query_file!("src/delivery/lock.sql", LOCK_KEY)
        .execute(Unnamed(transaction))
        .await?;
    Ok(())
}
