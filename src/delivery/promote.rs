//! Promotes queued e-mails to deliveries: one each, or one for all of a digest.

use super::DeliverySettings;
use super::report::DeliveryReport;
use super::retry_policy::Next;
use super::states::DeliveryStatus;
use crate::channels::Channel;
use crate::db::{ErrorClass, Transaction, Unnamed, said, sqlstate};

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
    timing: Timing,
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

/// E-mails of a batch that came to the same.
struct PromotedRow {
    event_type: String,
    status: DeliveryStatus,
    mails: i64,
    deliveries: i64,
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
        let is_digest = self.timing == Timing::Aggregated;
        let mut promoted = Promoted::default();
        for row in self.write(transaction, settings).await? {
            let deliveries = row.deliveries.unsigned_abs();
            promoted.report.mails += row.mails.unsigned_abs();
            match Next::ended(row.status) {
                Some(next) => {
                    let report = &mut promoted.report;
                    report.count(Channel::Email, &row.event_type, next, deliveries);
                }
                None => promoted.deliveries += deliveries,
            }
        }
        if is_digest {
            promoted.report.digests = promoted.deliveries;
        }
        if promoted.report.dead > 0 {
            tracing::warn!(
                deliveries = promoted.report.dead,
                "e-mails older than NOTIFY_DELIVERY_MAX_AGE became dead letters"
            );
        }
        Ok(promoted)
    }

    async fn write(
        &self,
        transaction: &mut Transaction<'_>,
        settings: &DeliverySettings,
    ) -> Result<Vec<PromotedRow>, sqlx::Error> {
        let max_age = settings.max_age.as_secs_f64();
        match self.timing {
            Timing::Immediate => {
                sqlx::query_file_as!(
                    PromotedRow,
                    "src/delivery/promote_emails.sql",
                    self.most,
                    max_age,
                    &self.left_alone
                )
                .fetch_all(Unnamed(transaction))
                .await
            }
            Timing::Aggregated => {
                sqlx::query_file_as!(
                    PromotedRow,
                    "src/delivery/promote_digests.sql",
                    settings.digest_every.as_secs_f64(),
                    self.most,
                    max_age,
                    DIGEST_MOST,
                    &self.left_alone,
                )
                .fetch_all(Unnamed(transaction))
                .await
            }
        }
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
                refused.extend(error.map(|error| (id, said(&error))));
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
            refused = ids.iter().map(|id| (*id, said(refusal))).collect();
        }
        let mut report = DeliveryReport::default();
        for (id, problem) in refused {
            self.fail(transaction, id, &problem, &mut report).await?;
        }
        Ok(Some(report))
    }

    async fn fail(
        &mut self,
        transaction: &mut Transaction<'_>,
        id: i64,
        problem: &str,
        report: &mut DeliveryReport,
    ) -> Result<(), sqlx::Error> {
        let reason = format!("dead: the database refuses it: {problem}");
        let failing = transaction.in_savepoint(async |transaction| {
            sqlx::query_scalar!(
                r#"UPDATE pending_emails SET status = 'failed', processed_at = now(), status_reason = $2
                    WHERE id = $1 AND status = 'pending'
                RETURNING coalesce(event_type, '') AS "event_type!""#,
                id,
                reason
            )
            .fetch_optional(Unnamed(transaction))
            .await
        });
        match failing.await? {
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
        Ok(())
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

/// Does to an e-mail what a promotion does; the caller rolls it back.
async fn probe(
    transaction: &mut Transaction<'_>,
    id: i64,
) -> Result<Result<(), sqlx::Error>, sqlx::Error> {
    let probing = transaction.in_savepoint(async |transaction| {
        sqlx::query!(
            "UPDATE pending_emails SET status = 'processing', processed_at = NULL, status_reason = NULL
              WHERE id = $1",
            id
        )
        .execute(Unnamed(transaction))
        .await
    });
    Ok(probing.await?.map(drop))
}

/// Whether an error is caused by a row: others may be accepted.
fn is_of_a_row(error: &sqlx::Error) -> bool {
    match ErrorClass::of(error) {
        ErrorClass::Refused | ErrorClass::Contended => true,
        // A function of the application raised it, or the row is too large for an index.
        _ => sqlstate(error).is_some_and(|code| code == "P0001" || code.starts_with("54")),
    }
}

/// One worker at a time promotes e-mails: two would make two digests for one recipient. The others wait,
/// up to `lock_timeout`, and then promote the next batch.
async fn lock(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
        .execute(Unnamed(transaction))
        .await?;
    Ok(())
}
