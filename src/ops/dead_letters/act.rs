//! What a person decides: try again, or give up for good.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use crate::db::{Access, Session, Transaction, Unnamed};

/// Deliveries changed in one transaction.
const BATCH: i64 = 1_000;

/// What is to become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Back among what is due, as if never tried.
    Retry,
    /// Cancelled; the reason stays.
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
pub struct ActionReport {
    /// How many deliveries.
    pub deliveries_count: u64,
    /// How many of each channel.
    pub deliveries_count_by_channel: BTreeMap<String, u64>,
    /// Of these: may have arrived already.
    pub uncertain_count: u64,
    /// Of these: lead to an endpoint that is disabled or gone.
    pub to_disabled_count: u64,
    /// Queued mails that went along.
    pub emails_count: u64,
    /// Deliveries that were asked for by identifier and are not touched.
    pub not_touched: Vec<NotTouched>,
    /// Whether it ended before all were changed.
    pub stopped_early: bool,
}

/// A delivery that was asked for and is not touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotTouched {
    /// The delivery.
    pub delivery_id: i64,
    /// Where it stands.
    pub state: State,
}

/// Where a delivery stands that is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its first or next attempt.
    Pending,
    /// Is being sent.
    Sending,
    /// Arrived.
    Delivered,
    /// Was not to be sent any more, or was discarded.
    Cancelled,
    /// Is a dead letter, but another filter passes it over.
    FilteredOut,
    /// There is none.
    NoSuchDelivery,
}

impl State {
    fn from_name(name: &str) -> Self {
        match name {
            "pending" => Self::Pending,
            "sending" => Self::Sending,
            "delivered" => Self::Delivered,
            "cancelled" => Self::Cancelled,
            "dead" | "uncertain" => Self::FilteredOut,
            _ => Self::NoSuchDelivery,
        }
    }
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

/// Does it with all that match, batch by batch in the order of their identifiers, each once: what
/// dies again meanwhile stays dead. After an error, or when `stop` is cancelled, the report tells
/// what had been changed by then.
pub async fn act(
    session: &mut Session,
    action: Action,
    filter: &Filter,
    stop: &CancellationToken,
) -> (ActionReport, Result<(), sqlx::Error>) {
    let mut report = ActionReport {
        stopped_early: true,
        ..ActionReport::default()
    };
    let result = until_done(session, action, filter, stop, &mut report).await;
    (report, result)
}

async fn until_done(
    session: &mut Session,
    action: Action,
    filter: &Filter,
    stop: &CancellationToken,
    report: &mut ActionReport,
) -> Result<(), sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    report.not_touched = others(&mut transaction, filter).await?;
    transaction.commit().await?;
    let mut last = Some(i64::MIN);
    while let Some(after) = last {
        if stop.is_cancelled() {
            return Ok(());
        }
        last = batch(session, action, filter, after, report).await?;
    }
    report.stopped_early = false;
    Ok(())
}

/// The last delivery of the next batch, if there was one.
async fn batch(
    session: &mut Session,
    action: Action,
    filter: &Filter,
    after: i64,
    report: &mut ActionReport,
) -> Result<Option<i64>, sqlx::Error> {
    let statement = match action {
        Action::Retry => statement!("retry.sql"),
        Action::Discard => statement!("discard.sql"),
    };
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let rows: Vec<Changed> = filter
        .bind(sqlx::query_as(statement))
        .bind(after)
        .bind(BATCH)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    transaction.commit().await?;
    for row in &rows {
        if let Some(ids) = &row.ids {
            tracing::debug!(?action, channel = row.channel, delivery_ids = ?ids, "decided by hand");
        }
    }
    let reached = rows.first().and_then(|row| row.reached);
    report.add(rows);
    Ok(reached)
}

/// Counts what would be changed, in a transaction that cannot write.
pub async fn preview(
    session: &mut Session,
    action: Action,
    filter: &Filter,
) -> Result<ActionReport, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut report = ActionReport {
        not_touched: others(&mut transaction, filter).await?,
        ..ActionReport::default()
    };
    let rows: Vec<Changed> = filter
        .bind(sqlx::query_as(statement!("preview.sql")))
        .bind(action == Action::Discard)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    report.add(rows);
    Ok(report)
}

async fn others(
    connection: &mut Transaction<'_>,
    filter: &Filter,
) -> Result<Vec<NotTouched>, sqlx::Error> {
    if filter.ids.is_none() {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, String)> = filter
        .bind(sqlx::query_as(super::filter::with_matching!("others.sql")))
        .fetch_all(Unnamed(connection))
        .await?;
    let not_touched = rows.into_iter().map(|(delivery_id, state)| NotTouched {
        delivery_id,
        state: State::from_name(&state),
    });
    Ok(not_touched.collect())
}

impl ActionReport {
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
            if status == super::Held::Uncertain.name() {
                self.uncertain_count += deliveries;
            }
        }
    }
}
