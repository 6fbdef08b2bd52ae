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

use crate::db::{Access, Session, Unnamed};

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
    #[must_use]
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

#[derive(sqlx::FromRow)]
struct DryRunDeliveries {
    deliveries: i64,
    attempts: i64,
    dedup_keys: i64,
}

#[derive(sqlx::FromRow)]
struct Deliveries {
    deleted: i64,
    attempts: i64,
    finished_at: Option<DateTime<Utc>>,
    id: Option<i64>,
}

/// One prune under way: what is old was settled at its start.
#[derive(Debug)]
pub struct Prune {
    scope: PruneOptions,
    report: PruneReport,
}

impl Prune {
    /// Asks the database from where on things are old.
    pub async fn new(session: &mut Session, scope: PruneOptions) -> Result<Self, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let row = sqlx::query_file!("src/ops/prune/cutoff.sql", scope.older_than.as_secs_f64())
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        transaction.commit().await?;
        Ok(Self {
            scope,
            report: PruneReport {
                older_than: row.cutoff,
                notifications_count: 0,
                emails_count: 0,
                deliveries_count: 0,
                attempts_count: 0,
                dedup_keys_count: 0,
                processing_rows_count: 0,
                events_count: 0,
                cascades_to: if scope.events {
                    row.cascades
                } else {
                    Vec::new()
                },
                stopped_early: false,
            },
        })
    }

    /// What was deleted so far.
    #[must_use]
    pub fn report(&self) -> &PruneReport {
        &self.report
    }

    /// Counts what would be deleted, in a transaction that cannot write.
    pub async fn dry_run(mut self, session: &mut Session) -> Result<PruneReport, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/dry_run.sql",
            self.report.older_than,
            self.scope.events
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        let counted: DryRunDeliveries =
            sqlx::query_as(include_str!("prune/dry_run_deliveries.sql"))
                .bind(self.report.older_than)
                .fetch_one(Unnamed(&mut transaction))
                .await?;
        transaction.commit().await?;
        let report = &mut self.report;
        report.deliveries_count = counted.deliveries.unsigned_abs();
        report.attempts_count = counted.attempts.unsigned_abs();
        report.dedup_keys_count = counted.dedup_keys.unsigned_abs();
        report.notifications_count = row.notifications.unsigned_abs();
        report.emails_count = row.emails.unsigned_abs();
        report.processing_rows_count = row.processing.unsigned_abs();
        report.events_count = row.events.unwrap_or(0).unsigned_abs();
        Ok(self.report)
    }

    /// Deletes, until nothing old is left or `stop` is cancelled. `progress` is called after each
    /// batch. After an error the report has what was deleted by then.
    ///
    /// Notifications, mails and deliveries come first: they keep their events.
    pub async fn execute(
        &mut self,
        session: &mut Session,
        stop: &CancellationToken,
        progress: &mut dyn FnMut(&PruneReport),
    ) -> Result<(), sqlx::Error> {
        self.report.stopped_early = true;
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            if stop.is_cancelled() {
                return Ok(());
            }
            next = self.notifications(session, from).await?;
            progress(&self.report);
        }
        next = Some(i64::MIN);
        while let Some(from) = next {
            if stop.is_cancelled() {
                return Ok(());
            }
            next = self.emails(session, from).await?;
            progress(&self.report);
        }
        let mut place = Some((DateTime::UNIX_EPOCH, i64::MIN));
        while let Some(after) = place {
            if stop.is_cancelled() {
                return Ok(());
            }
            place = self.deliveries(session, after).await?;
            progress(&self.report);
        }
        let mut from = Some(DateTime::UNIX_EPOCH);
        while let Some(since) = from {
            if stop.is_cancelled() {
                return Ok(());
            }
            from = self.dedup_keys(session, since).await?;
            progress(&self.report);
        }
        let mut from = Some(DateTime::UNIX_EPOCH);
        while let Some(since) = from {
            if stop.is_cancelled() {
                return Ok(());
            }
            from = self.processing_rows(session, since).await?;
            progress(&self.report);
        }
        let nothing = PgRange {
            start: Bound::Included(0),
            end: Bound::Excluded(0),
        };
        let mut range = self.scope.events.then_some(nothing);
        while let Some(after) = range {
            if stop.is_cancelled() {
                return Ok(());
            }
            range = self.events(session, after).await?;
            progress(&self.report);
        }
        self.report.stopped_early = false;
        Ok(())
    }

    /// One page of notifications; where the next begins, if there was one.
    async fn notifications(
        &mut self,
        session: &mut Session,
        from: i64,
    ) -> Result<Option<i64>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/notifications.sql",
            self.report.older_than,
            PAGE,
            from
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        self.report.notifications_count += row.deleted.unsigned_abs();
        Ok(row.reached.and_then(|id| id.checked_add(1)))
    }

    /// One page of mails; where the next begins, if there was one.
    async fn emails(
        &mut self,
        session: &mut Session,
        from: i64,
    ) -> Result<Option<i64>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/emails.sql",
            self.report.older_than,
            PAGE,
            from
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        self.report.emails_count += row.deleted.unsigned_abs();
        Ok(row.reached.and_then(|id| id.checked_add(1)))
    }

    /// One page of deliveries; where it ended, if there was one.
    async fn deliveries(
        &mut self,
        session: &mut Session,
        after: (DateTime<Utc>, i64),
    ) -> Result<Option<(DateTime<Utc>, i64)>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let row: Deliveries = sqlx::query_as(include_str!("prune/deliveries.sql"))
            .bind(self.report.older_than)
            .bind(BATCH)
            .bind(after.0)
            .bind(after.1)
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        transaction.commit().await?;
        self.report.deliveries_count += row.deleted.unsigned_abs();
        self.report.attempts_count += row.attempts.unsigned_abs();
        Ok(row.finished_at.zip(row.id))
    }

    /// One batch of dedup keys; the expiry up to which it went, if it found any.
    async fn dedup_keys(
        &mut self,
        session: &mut Session,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let (deleted, reached): (i64, Option<DateTime<Utc>>) =
            sqlx::query_as(include_str!("prune/dedup_keys.sql"))
                .bind(BATCH)
                .bind(since)
                .fetch_one(Unnamed(&mut transaction))
                .await?;
        transaction.commit().await?;
        self.report.dedup_keys_count += deleted.unsigned_abs();
        Ok(reached)
    }

    /// One batch of processing rows; the completion up to which it went, if it found any.
    async fn processing_rows(
        &mut self,
        session: &mut Session,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/processing.sql",
            self.report.older_than,
            BATCH,
            since
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        self.report.processing_rows_count += row.deleted.unsigned_abs();
        Ok(row.reached)
    }

    /// The events of one batch of ranges; the last range of it, if there was one.
    async fn events(
        &mut self,
        session: &mut Session,
        after: PgRange<i64>,
    ) -> Result<Option<PgRange<i64>>, sqlx::Error> {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let row = sqlx::query_file!(
            "src/ops/prune/events.sql",
            self.report.older_than,
            BATCH,
            after
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        self.report.events_count += row.deleted.unsigned_abs();
        Ok(row.reached)
    }
}
