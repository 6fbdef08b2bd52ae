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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// What ended before this moment of the database's clock is old.
    pub older_than: DateTime<Utc>,
    /// Notifications that were read.
    pub notifications_count: i64,
    /// E-mails that were sent or cancelled.
    pub emails_count: i64,
    /// Deliveries that arrived or were cancelled.
    pub deliveries_count: i64,
    /// Attempts of these deliveries.
    pub attempts_count: i64,
    /// Dedup keys that have expired.
    #[serde(rename = "guards_count")]
    pub dedup_keys_count: i64,
    /// Processing rows of events that were completed.
    pub processing_rows_count: i64,
    /// Events; none unless asked for.
    pub events_count: i64,
    /// Other tables whose rows go with the events that they refer to (`ON DELETE CASCADE`).
    pub cascades_to: Vec<String>,
    /// Whether it ended before everything was looked at.
    pub stopped_early: bool,
}

impl PruneReport {
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
        let row = sqlx::query_file!(
            "src/ops/prune/cutoff.sql",
            options.older_than.as_secs_f64(),
            options.events
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        let report = PruneReport {
            older_than: row.older_than,
            cascades_to: row.cascades_to,
            ..PruneReport::default()
        };
        Ok(Self { options, report })
    }

    /// What was deleted so far.
    pub fn report(&self) -> &PruneReport {
        &self.report
    }

    /// Counts what would be deleted, in a transaction that cannot write.
    pub async fn dry_run(self, session: &mut Session) -> Result<PruneReport, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let report = sqlx::query_file_as!(
            PruneReport,
            "src/ops/prune/dry_run.sql",
            self.report.older_than,
            self.options.events,
            &self.report.cascades_to
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        Ok(report)
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

/// A function that deletes a page of one table, counts it, and returns where the next page begins.
macro_rules! page {
    ($name:ident, $statement:literal, $size:ident, $cursor:ty, $count:ident) => {
        async fn $name(
            transaction: &mut Transaction<'_>,
            report: &mut PruneReport,
            cursor: $cursor,
        ) -> Result<Option<$cursor>, sqlx::Error> {
            let page = sqlx::query_file!($statement, report.older_than, $size, cursor)
                .fetch_one(Unnamed(transaction))
                .await?;
            report.$count += page.deleted;
            Ok(page.next)
        }
    };
}

page!(
    notifications,
    "src/ops/prune/notifications.sql",
    PAGE,
    i64,
    notifications_count
);
page!(emails, "src/ops/prune/emails.sql", PAGE, i64, emails_count);
page!(
    processing_rows,
    "src/ops/prune/processing.sql",
    BATCH,
    DateTime<Utc>,
    processing_rows_count
);
page!(
    events,
    "src/ops/prune/events.sql",
    BATCH,
    PgRange<i64>,
    events_count
);

async fn deliveries(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    (finished_at, id): (DateTime<Utc>, i64),
) -> Result<Option<(DateTime<Utc>, i64)>, sqlx::Error> {
    let page = sqlx::query_file!(
        "src/ops/prune/deliveries.sql",
        report.older_than,
        BATCH,
        finished_at,
        id
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    report.deliveries_count += page.deleted;
    report.attempts_count += page.attempts;
    Ok(page.finished_at.zip(page.id))
}

async fn dedup_keys(
    transaction: &mut Transaction<'_>,
    report: &mut PruneReport,
    since: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let page = sqlx::query_file!("src/ops/prune/dedup_keys.sql", BATCH, since)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.dedup_keys_count += page.deleted;
    Ok(page.next)
}
