//! Dead letters: deliveries that failed for good, and those that may have arrived or not. They stay
//! until a person retries or discards them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::attempts::{Attempt, attempts};
use super::bulk::Filter;
use super::recipient::{DeliveryRecipient, show_addresses};
use crate::db::{Access, Session, Unnamed};
use crate::domain::announcement::Message;

/// E-mails of a delivery that are listed.
const MOST_MAILS: i64 = 200;

/// Dead letters, as many as were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct List {
    pub matching_count: i64,
    pub dead_letters: Vec<DeadLetter>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, sqlx::FromRow)]
pub struct DeadLetter {
    pub id: i64,
    /// `dead` or `uncertain`.
    pub status: String,
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
    #[serde(skip)]
    pub address: Option<String>,
    pub attempts_count: i32,
    pub reason: Option<String>,
    /// The kind of failure.
    pub code: Option<String>,
    /// When the event occurred.
    pub occurred_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Since it ended.
    pub age_seconds: f64,
    /// The same in each row.
    #[serde(skip)]
    pub matching_count: i64,
}

/// Lists what matches, `most` of it, what ended last first unless `oldest_first`, in a transaction that cannot write.
pub async fn list(
    session: &mut Session,
    filter: &Filter,
    oldest_first: bool,
    most: u32,
) -> Result<List, sqlx::Error> {
    const STATEMENT: &str = concat!(
        include_str!("bulk/deliveries/matching.sql"),
        include_str!("dead_letters/list.sql")
    );
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut dead_letters: Vec<DeadLetter> = filter
        .bind(sqlx::query_as(STATEMENT))
        .bind(oldest_first)
        .bind(i64::from(most))
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    let recipients = dead_letters.iter_mut().map(|letter| DeliveryRecipient {
        channel: &letter.channel,
        recipient: &letter.recipient,
        address: letter.address.take(),
        to: &mut letter.to,
    });
    show_addresses(&mut transaction, recipients.collect()).await?;
    transaction.rollback().await?;
    Ok(List {
        matching_count: dead_letters.first().map_or(0, |row| row.matching_count),
        dead_letters,
    })
}

/// Values that a filter would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterValues {
    pub event_types: Vec<String>,
    /// Endpoints by name, else targets.
    pub targets: Vec<String>,
}

/// The event types and targets of all dead letters.
pub async fn filter_values(session: &mut Session) -> Result<FilterValues, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let values = sqlx::query_as!(
        FilterValues,
        r#"SELECT coalesce(array_agg(DISTINCT d.event_type), '{}') AS "event_types!",
                  coalesce(array_agg(DISTINCT coalesce(e.name, d.target)), '{}') AS "targets!"
             FROM notification_deliveries d
             LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
            WHERE d.status IN ('dead', 'uncertain')"#,
    )
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.rollback().await?;
    Ok(values)
}

/// One delivery, whatever its status, with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The message to an endpoint or phone; none for e-mails to people.
    pub message: Option<Message>,
    pub emails: Vec<DeliveryEmail>,
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    pub id: i64,
    /// The key that receivers see.
    pub key: Uuid,
    pub status: String,
    pub channel: String,
    /// The event's type, or `digest`.
    pub event_type: String,
    /// The event, unless it is a digest.
    pub event_id: Option<i64>,
    /// When the event occurred.
    pub occurred_at: DateTime<Utc>,
    /// The beginning of a digest's window.
    pub digest_window: Option<DateTime<Utc>>,
    /// The target: pace and circuit breaker are kept per target.
    pub target: String,
    /// The recipient: `user:ID`, `endpoint:ID` or a route.
    pub recipient: String,
    /// The same for people: an endpoint's name or an address, redacted.
    pub to: String,
    #[serde(skip)]
    pub address: Option<String>,
    pub endpoint_is_enabled: Option<bool>,
    /// Attempts made since it was queued or requeued.
    pub attempts_count: i32,
    /// When it is due, while it is pending.
    pub next_attempt_at: DateTime<Utc>,
    pub lease_until: Option<DateTime<Utc>>,
    pub leased_by: Option<String>,
    /// The transport of the last attempt.
    pub transport: Option<String>,
    /// The provider's name for it.
    pub provider_id: Option<String>,
    pub reason: Option<String>,
    /// The kind of failure.
    pub code: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub message: Value,
}

/// A queued e-mail in a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryEmail {
    /// The row of `pending_emails`.
    pub id: i64,
    pub event_id: i64,
    pub event_type: String,
    pub subject: String,
    pub status: String,
    /// Why it was left out or failed.
    pub status_reason: Option<String>,
}

/// Looks a delivery up, in a transaction that cannot write. `None`: there is no such delivery.
pub async fn show(session: &mut Session, id: i64) -> Result<Option<Details>, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let delivery = sqlx::query_file_as!(Delivery, "src/ops/dead_letters/show.sql", id)
        .fetch_optional(Unnamed(&mut transaction))
        .await?;
    let Some(mut delivery) = delivery else {
        return Ok(None);
    };
    let recipient = DeliveryRecipient {
        channel: &delivery.channel,
        recipient: &delivery.recipient,
        address: delivery.address.take(),
        to: &mut delivery.to,
    };
    show_addresses(&mut transaction, vec![recipient]).await?;
    let emails = sqlx::query_as!(
        DeliveryEmail,
        r#"SELECT id::bigint AS "id!", event_id::bigint AS "event_id!", event_type::text AS "event_type!",
                  subject::text AS "subject!", status::text AS "status!", status_reason
             FROM pending_emails WHERE delivery_id = $1 ORDER BY id LIMIT $2"#,
        id,
        MOST_MAILS,
    )
    .fetch_all(Unnamed(&mut transaction))
    .await?;
    let attempts = attempts(&mut transaction, &[id]).await?.remove(&id);
    transaction.rollback().await?;
    Ok(Some(Details {
        message: serde_json::from_value(delivery.message.take()).ok(),
        delivery,
        emails,
        attempts: attempts.unwrap_or_default(),
    }))
}
