//! Retries or discards dead letters.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::super::pages::pages;
use super::filter::DeadLetterFilter;
use crate::db::{Access, Session, Transaction, Unnamed};

/// Deliveries changed in one transaction.
const BATCH: i64 = 1_000;

/// What to do with the rows that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Requeue them, as if never tried.
    Retry,
    /// Cancel them; the reason stays.
    Discard,
}

macro_rules! statement {
    ($what:literal) => {
        concat!(
            include_str!("matching.sql"),
            include_str!($what),
            include_str!("changed.sql")
        )
    };
}

/// What was changed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeadLetterReport {
    /// How many deliveries.
    pub deliveries_count: u64,
    /// How many of each channel.
    pub deliveries_count_by_channel: BTreeMap<String, u64>,
    /// Of these: may have arrived already.
    pub uncertain_count: u64,
    /// Of these: their endpoint is disabled or gone.
    pub to_disabled_count: u64,
    /// Queued e-mails that they carry.
    pub emails_count: u64,
    /// Deliveries that were named by identifier and stay as they are.
    pub not_touched: Vec<NotTouched>,
    /// Whether it ended before all were changed.
    pub stopped_early: bool,
}

/// A delivery that was named and stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct NotTouched {
    /// The delivery.
    pub delivery_id: i64,
    /// Its state.
    pub state: DeliveryState,
}

/// The state of a delivery that stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its first or next attempt.
    Pending,
    /// Is being sent.
    Sending,
    /// Arrived.
    Delivered,
    /// Was not to be sent any more, or was discarded.
    Cancelled,
    /// Is a dead letter, but another filter excludes it.
    FilteredOut,
    /// There is none.
    NoSuchDelivery,
}

#[derive(sqlx::FromRow)]
struct Changed {
    channel: Option<String>,
    status: Option<String>,
    deliveries: i64,
    to_disabled: i64,
    ids: Option<Vec<i64>>,
    mails: i64,
    reached: Option<i64>,
}

/// Changes all that match, batch by batch in the order of their identifiers, each once: what dies
/// again meanwhile stays dead. After an error, or when `stop` is cancelled, the report has what was
/// changed by then.
pub async fn apply(
    session: &mut Session,
    action: Action,
    filter: &DeadLetterFilter,
    stop: &CancellationToken,
) -> (DeadLetterReport, Result<(), sqlx::Error>) {
    let mut report = DeadLetterReport {
        stopped_early: true,
        ..DeadLetterReport::default()
    };
    let result = async {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        report.not_touched = untouched(&mut transaction, filter).await?;
        transaction.commit().await?;
        let page = async |transaction: &mut Transaction<'_>, report: &mut _, after| {
            page(transaction, action, filter, after, report).await
        };
        let is_done = pages(session, stop, &mut report, i64::MIN, page, &mut |_| {}).await?;
        report.stopped_early = !is_done;
        Ok(())
    };
    let result = result.await;
    (report, result)
}

/// Changes the next page; its last delivery, if there was one.
async fn page(
    transaction: &mut Transaction<'_>,
    action: Action,
    filter: &DeadLetterFilter,
    after: i64,
    report: &mut DeadLetterReport,
) -> Result<Option<i64>, sqlx::Error> {
    let statement = match action {
        Action::Retry => statement!("retry.sql"),
        Action::Discard => statement!("discard.sql"),
    };
    let rows: Vec<Changed> = filter
        .bind(sqlx::query_as(statement))
        .bind(after)
        .bind(BATCH)
        .fetch_all(Unnamed(transaction))
        .await?;
    for row in &rows {
        if let Some(ids) = &row.ids {
            tracing::debug!(?action, channel = row.channel, delivery_ids = ?ids, "decided manually");
        }
    }
    let reached = rows.first().and_then(|row| row.reached);
    report.add(rows);
    Ok(reached)
}

/// Counts what would be changed, in a transaction that cannot write.
pub async fn count_matching(
    session: &mut Session,
    action: Action,
    filter: &DeadLetterFilter,
) -> Result<DeadLetterReport, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut report = DeadLetterReport {
        not_touched: untouched(&mut transaction, filter).await?,
        ..DeadLetterReport::default()
    };
    let rows: Vec<Changed> = filter
        .bind(sqlx::query_as(statement!("dry_run.sql")))
        .bind(action == Action::Discard)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    report.add(rows);
    Ok(report)
}

async fn untouched(
    connection: &mut Transaction<'_>,
    filter: &DeadLetterFilter,
) -> Result<Vec<NotTouched>, sqlx::Error> {
    if filter.ids.is_none() {
        return Ok(Vec::new());
    }
    filter
        .bind(sqlx::query_as(super::filter::with_matching!(
            "untouched.sql"
        )))
        .fetch_all(Unnamed(connection))
        .await
}

impl DeadLetterReport {
    fn add(&mut self, rows: Vec<Changed>) {
        // The same in each row.
        self.emails_count += rows.first().map_or(0, |row| row.mails.unsigned_abs());
        for row in rows {
            let (Some(channel), Some(status)) = (row.channel, row.status) else {
                continue;
            };
            let deliveries = row.deliveries.unsigned_abs();
            self.deliveries_count += deliveries;
            *self.deliveries_count_by_channel.entry(channel).or_default() += deliveries;
            self.to_disabled_count += row.to_disabled.unsigned_abs();
            if status == super::DeadLetterStatus::Uncertain.name() {
                self.uncertain_count += deliveries;
            }
        }
    }
}
