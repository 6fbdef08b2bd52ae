//! Deletes what is done and old, in batches that each commit.
//!
//! A processing row is also the proof that its event was processed. Where the event stays, its
//! identifier goes into `notification_pruned` in the same statement, and `migrate`, which enqueues
//! events without a row, passes it over. An event is deleted only when its row is gone and no
//! notification, mail or delivery refers to it, so that the cascade of its deletion finds nothing.

use std::ops::Bound;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::types::PgRange;
use tokio_util::sync::CancellationToken;

use super::pages::pages;
use crate::db::{Access, Session, Transaction, Unnamed};

/// Rows of a table that are looked at in one transaction, where most of them stay.
const PAGE: i64 = 10_000;
/// Rows deleted in one transaction, where all that are looked at go.
const BATCH: i64 = 5_000;

/// What is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// What was done longer ago than this.
    pub older_than: Duration,
    /// Completed events too, once nothing refers to them.
    pub events: bool,
}

/// What was deleted, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// What ended before this moment of the database's clock is old.
    pub older_than: DateTime<Utc>,
    /// Notifications that were read.
    pub notifications_count: u64,
    /// E-mails that were sent or cancelled.
    pub emails_count: u64,
    /// Deliveries that arrived or were cancelled.
    pub deliveries_count: u64,
    /// Their attempts.
    pub attempts_count: u64,
    /// Dedup keys that have expired.
    #[serde(rename = "guards_count")]
    pub dedup_keys_count: u64,
    /// Processing rows of events that were completed.
    pub processing_rows_count: u64,
    /// Events; none unless asked for.
    pub events_count: u64,
    /// Other tables whose rows go with the events that they refer to (`ON DELETE CASCADE`).
    pub cascades_to: Vec<String>,
    /// Whether it ended before everything was looked at.
    pub stopped_early: bool,
}

impl PruneReport {
    /// Whether anything was deleted.
    pub fn has_deleted(&self) -> bool {
        self.notifications_count
            + self.emails_count
            + self.deliveries_count
            + self.dedup_keys_count
            + self.processing_rows_count
            + self.events_count
            > 0
    }
}

/// One prune under way: what is old was settled at its start.
#[derive(Debug)]
pub struct Prune {
    options: PruneOptions,
    report: PruneReport,
}

impl Prune {
    /// Asks the database from where on things are old.
    pub async fn new(session: &mut Session, options: PruneOptions) -> Result<Self, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let row = sqlx::query_file!("src/ops/prune/cutoff.sql", options.older_than.as_secs_f64())
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        transaction.commit().await?;
        Ok(Self {
            options,
            report: PruneReport {
                older_than: row.cutoff,
                notifications_count: 0,
                emails_count: 0,
                deliveries_count: 0,
                attempts_count: 0,
                dedup_keys_count: 0,
                processing_rows_count: 0,
                events_count: 0,
                cascades_to: if options.events {
                    row.cascades
                } else {
                    Vec::new()
                },
                stopped_early: false,
            },
        })
    }

    /// What was deleted so far.
    pub fn report(&self) -> &PruneReport {
        &self.report
    }

    /// Counts what would be deleted, in a transaction that cannot write.
    pub async fn dry_run(mut self, session: &mut Session) -> Result<PruneReport, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/dry_run.sql",
            self.report.older_than,
            self.options.events
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        let report = &mut self.report;
        report.deliveries_count = row.deliveries.unsigned_abs();
        report.attempts_count = row.attempts.unsigned_abs();
        report.dedup_keys_count = row.dedup_keys.unsigned_abs();
        report.notifications_count = row.notifications.unsigned_abs();
        report.emails_count = row.emails.unsigned_abs();
        report.processing_rows_count = row.processing.unsigned_abs();
        report.events_count = row.events.unwrap_or(0).unsigned_abs();
        Ok(self.report)
    }

    /// Deletes, until nothing old is left or `stop` is cancelled. `progress` is called after each
    /// page. After an error the report has what was deleted by then.
    ///
    /// Notifications, e-mails and deliveries come first: they keep their events.
    pub async fn execute(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(&PruneReport),
    ) -> Result<(), sqlx::Error> {
        const FIRST: i64 = i64::MIN;
        const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;
        let report = &mut self.report;
        report.stopped_early = true;
        let is_done = pages(session, stop, report, FIRST, notifications, progress).await?
            && pages(session, stop, report, FIRST, emails, progress).await?
            && pages(session, stop, report, (EPOCH, FIRST), deliveries, progress).await?
            && pages(session, stop, report, EPOCH, dedup_keys, progress).await?
            && pages(session, stop, report, EPOCH, processing_rows, progress).await?
            && (!self.options.events
                || pages(session, stop, report, BEFORE_ALL, events, progress).await?);
        report.stopped_early = !is_done;
        Ok(())
    }
}

/// The empty range, which sorts before all others.
const BEFORE_ALL: PgRange<i64> = PgRange {
    start: Bound::Included(0),
    end: Bound::Excluded(0),
};

async fn notifications(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    from: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query_file!(
        "src/ops/prune/notifications.sql",
        report.older_than,
        PAGE,
        from
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    report.notifications_count += row.deleted.unsigned_abs();
    Ok(row.reached.and_then(|id| id.checked_add(1)))
}

async fn emails(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    from: i64,
) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query_file!("src/ops/prune/emails.sql", report.older_than, PAGE, from)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.emails_count += row.deleted.unsigned_abs();
    Ok(row.reached.and_then(|id| id.checked_add(1)))
}

async fn deliveries(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    (finished_at, id): (DateTime<Utc>, i64),
) -> Result<Option<(DateTime<Utc>, i64)>, sqlx::Error> {
    let row = sqlx::query_file!(
        "src/ops/prune/deliveries.sql",
        report.older_than,
        BATCH,
        finished_at,
        id
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    report.deliveries_count += row.deleted.unsigned_abs();
    report.attempts_count += row.attempts.unsigned_abs();
    Ok(row.finished_at.zip(row.id))
}

async fn dedup_keys(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let row = sqlx::query_file!("src/ops/prune/dedup_keys.sql", BATCH, since)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.dedup_keys_count += row.deleted.unsigned_abs();
    Ok(row.reached)
}

async fn processing_rows(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let row = sqlx::query_file!(
        "src/ops/prune/processing.sql",
        report.older_than,
        BATCH,
        since
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    report.processing_rows_count += row.deleted.unsigned_abs();
    Ok(row.reached)
}

async fn events(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    after: PgRange<i64>,
) -> Result<Option<PgRange<i64>>, sqlx::Error> {
    let row = sqlx::query_file!("src/ops/prune/events.sql", report.older_than, BATCH, after)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.events_count += row.deleted.unsigned_abs();
    Ok(row.reached)
}
