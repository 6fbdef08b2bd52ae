//! Everything about one delivery.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::db::{Access, Session, Unnamed};
use crate::domain::announcement::Message;
use crate::ops::attempts::{Attempt, attempts};
use crate::ops::delivery_history::{add_phone_numbers, recipient_text};

/// E-mails of a delivery that are listed.
const MOST_MAILS: i64 = 200;

/// One delivery, whatever its status.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The delivery.
    pub id: i64,
    /// The key that receivers see.
    pub key: Uuid,
    /// Its status.
    pub status: String,
    /// Its channel.
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
    /// Whether the endpoint is enabled, if there is one.
    pub endpoint_is_enabled: Option<bool>,
    /// Attempts made since it was queued or requeued.
    pub attempts_count: u64,
    /// When it is due, while it is pending.
    pub next_attempt_at: DateTime<Utc>,
    /// Until when its sender has it, while it is being sent.
    pub lease_until: Option<DateTime<Utc>>,
    /// That sender.
    pub leased_by: Option<String>,
    /// The transport of the last attempt.
    pub transport: Option<String>,
    /// The provider's name for it.
    pub provider_id: Option<String>,
    /// Why it was not delivered.
    pub reason: Option<String>,
    /// The kind of failure.
    pub code: Option<String>,
    /// When it was queued.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The message to an endpoint or phone; none for e-mails to people.
    pub message: Option<Message>,
    /// The e-mails in it.
    pub emails: Vec<DeliveryEmail>,
    /// Its attempts.
    pub attempts: Vec<Attempt>,
}

/// A queued e-mail in a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct DeliveryEmail {
    /// The row of `pending_emails`.
    pub id: i64,
    /// Its event.
    pub event_id: i64,
    /// Its type.
    pub event_type: String,
    /// What it says in one line.
    pub subject: String,
    /// Its status.
    pub status: String,
    /// Why it was left out or failed.
    pub status_reason: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    key: Uuid,
    channel: String,
    target: String,
    recipient: String,
    event_id: Option<i64>,
    event_type: String,
    digest_window: Option<DateTime<Utc>>,
    message: Value,
    occurred_at: DateTime<Utc>,
    status: String,
    attempts: i32,
    next_attempt_at: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
    leased_by: Option<String>,
    transport: Option<String>,
    provider_id: Option<String>,
    reason: Option<String>,
    code: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    endpoint: Option<String>,
    endpoint_target: Option<String>,
    endpoint_is_enabled: Option<bool>,
    email: Option<String>,
}

/// Looks a delivery up, in a transaction that cannot write. `None`: there is no such delivery.
pub async fn show(session: &mut Session, id: i64) -> Result<Option<Details>, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let row: Option<Row> = sqlx::query_as(include_str!("show.sql"))
        .bind(id)
        .fetch_optional(Unnamed(&mut transaction))
        .await?;
    let Some(mut row) = row else {
        return Ok(None);
    };
    if row.channel == "sms" {
        add_phone_numbers(&mut transaction, vec![(&row.recipient, &mut row.email)]).await?;
    }
    let emails = sqlx::query_as(
        "SELECT id::bigint AS id, event_id::bigint AS event_id, event_type::text AS event_type,
                subject::text AS subject, status::text AS status, status_reason
           FROM pending_emails WHERE delivery_id = $1 ORDER BY id LIMIT $2",
    )
    .bind(id)
    .bind(MOST_MAILS)
    .fetch_all(Unnamed(&mut transaction))
    .await?;
    let tried = attempts(&mut transaction, &[id]).await?.remove(&id);
    transaction.rollback().await?;
    Ok(Some(details(row, emails, tried.unwrap_or_default())))
}

fn details(row: Row, emails: Vec<DeliveryEmail>, attempts: Vec<Attempt>) -> Details {
    let to = recipient_text(
        &row.recipient,
        row.endpoint.as_deref(),
        row.endpoint_target.as_deref(),
        row.email.as_deref(),
    );
    Details {
        id: row.id,
        key: row.key,
        status: row.status,
        channel: row.channel,
        event_type: row.event_type,
        event_id: row.event_id,
        occurred_at: row.occurred_at,
        digest_window: row.digest_window,
        target: row.target,
        recipient: row.recipient,
        to,
        endpoint_is_enabled: row.endpoint_is_enabled,
        attempts_count: u64::from(row.attempts.unsigned_abs()),
        next_attempt_at: row.next_attempt_at,
        lease_until: row.lease_until,
        leased_by: row.leased_by,
        transport: row.transport,
        provider_id: row.provider_id,
        reason: row.reason,
        code: row.code,
        created_at: row.created_at,
        finished_at: row.finished_at,
        message: serde_json::from_value(row.message).ok(),
        emails,
        attempts,
    }
}
