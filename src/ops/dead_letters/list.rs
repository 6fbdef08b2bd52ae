//! Lists dead letters.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::filter::{DeadLetterFilter, with_matching};
use crate::db::{Access, Session, Unnamed};
use crate::ops::delivery_history::{add_phone_numbers, recipient_text};

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What ended last comes first.
    NewestFirst,
    /// What ended first comes first.
    OldestFirst,
}

/// Dead letters, as many as were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct List {
    /// How many match.
    pub matching_count: u64,
    /// Those that are listed.
    pub dead_letters: Vec<DeadLetter>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetter {
    /// The delivery.
    pub id: i64,
    /// `dead` or `uncertain`.
    pub status: String,
    /// Its channel.
    pub channel: String,
    /// The event's type, or `digest`.
    pub event_type: String,
    /// The event, unless it is a digest.
    pub event_id: Option<i64>,
    /// The target: pace and circuit breaker are kept per target.
    pub target: String,
    /// The recipient: `user:ID`, `endpoint:ID` or a route.
    pub recipient: String,
    /// The same for people: an endpoint's name or an address, redacted.
    pub to: String,
    /// Attempts made.
    pub attempts_count: u64,
    /// Why it was not delivered.
    pub reason: Option<String>,
    /// The kind of failure.
    pub code: Option<String>,
    /// When the event occurred.
    pub occurred_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How long ago that is.
    pub age_seconds: f64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    channel: String,
    target: String,
    recipient: String,
    event_id: Option<i64>,
    event_type: String,
    status: String,
    attempts: i32,
    reason: Option<String>,
    code: Option<String>,
    occurred_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    age_seconds: f64,
    endpoint: Option<String>,
    endpoint_target: Option<String>,
    email: Option<String>,
    all_rows: i64,
}

/// Lists what matches, `most` of it, in a transaction that cannot write.
pub async fn list(
    session: &mut Session,
    filter: &DeadLetterFilter,
    order: Order,
    most: u32,
) -> Result<List, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut rows: Vec<Row> = filter
        .bind(sqlx::query_as(with_matching!("list.sql")))
        .bind(order == Order::OldestFirst)
        .bind(i64::from(most))
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    let texts = rows.iter_mut().filter(|row| row.channel == "sms");
    let texts = texts.map(|row| (&*row.recipient, &mut row.email));
    add_phone_numbers(&mut transaction, texts.collect()).await?;
    transaction.rollback().await?;
    Ok(List {
        matching_count: rows.first().map_or(0, |row| row.all_rows.unsigned_abs()),
        dead_letters: rows.into_iter().map(DeadLetter::from).collect(),
    })
}

/// Values that a filter would find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterValues {
    /// Event types of the dead letters.
    pub event_types: Vec<String>,
    /// Endpoints by name, else targets.
    pub targets: Vec<String>,
}

/// The event types and targets of all dead letters.
pub async fn filter_values(session: &mut Session) -> Result<FilterValues, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let (event_types, targets) = sqlx::query_as(
        "SELECT coalesce(array_agg(DISTINCT d.event_type), '{}'),
                coalesce(array_agg(DISTINCT coalesce(e.name, d.target)), '{}')
           FROM notification_deliveries d
           LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
          WHERE d.status IN ('dead', 'uncertain')",
    )
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.rollback().await?;
    Ok(FilterValues {
        event_types,
        targets,
    })
}

impl From<Row> for DeadLetter {
    fn from(row: Row) -> Self {
        let to = recipient_text(
            &row.recipient,
            row.endpoint.as_deref(),
            row.endpoint_target.as_deref(),
            row.email.as_deref(),
        );
        Self {
            id: row.id,
            status: row.status,
            channel: row.channel,
            event_type: row.event_type,
            event_id: row.event_id,
            target: row.target,
            recipient: row.recipient,
            to,
            attempts_count: u64::from(row.attempts.unsigned_abs()),
            reason: row.reason,
            code: row.code,
            occurred_at: row.occurred_at,
            finished_at: row.finished_at,
            age_seconds: row.age_seconds,
        }
    }
}
