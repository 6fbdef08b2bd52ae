//! Delivery history of an event: its deliveries, and its e-mails in digests.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::attempts::{Attempt, attempts};
use crate::channels::redact;
use crate::db::{Access, Database, Transaction, Unnamed};
use crate::delivery::phone_numbers;

/// Deliveries shown at most; `--user` shows those of one recipient.
const MOST: i64 = 1_000;

/// A delivery of an event to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// The delivery; none for an e-mail that was left out.
    pub delivery_id: Option<i64>,
    /// The row of `pending_emails`, of an e-mail to a person.
    pub email_id: Option<i64>,
    /// Its channel.
    pub channel: String,
    /// `user:ID`, `endpoint:ID` or a route.
    pub recipient: String,
    /// For people: the endpoint's name or the address, redacted.
    pub to: String,
    /// Whether the delivery is a digest of several e-mails.
    pub is_digest: bool,
    /// Its status.
    pub status: String,
    /// Attempts since it was queued or requeued.
    pub attempts_count: u64,
    /// When it is due, while it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it was not delivered.
    pub reason: Option<String>,
    /// The class of the failure.
    pub code: Option<String>,
    /// Its latest attempts.
    pub attempts: Vec<Attempt>,
}

#[derive(sqlx::FromRow)]
struct Row {
    delivery_id: Option<i64>,
    email_id: Option<i64>,
    channel: String,
    recipient: String,
    is_digest: bool,
    status: String,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    reason: Option<String>,
    code: Option<String>,
    email_status: Option<String>,
    status_reason: Option<String>,
    endpoint: Option<String>,
    endpoint_target: Option<String>,
    email: Option<String>,
}

/// Looks up the deliveries of an event, those to one person if `user` is given, in a transaction that
/// cannot write.
pub async fn delivery_history(
    database: &Database,
    event_id: i64,
    user: Option<Uuid>,
) -> Result<Vec<HistoryEntry>, sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let mut rows: Vec<Row> = sqlx::query_as(include_str!("delivery_history.sql"))
        .bind(event_id)
        .bind(user)
        .bind(MOST)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    let deliveries: Vec<i64> = rows.iter().filter_map(|row| row.delivery_id).collect();
    let tried = attempts(&mut transaction, &deliveries).await?;
    let texts = rows.iter_mut().filter(|row| row.channel == "sms");
    let texts = texts.map(|row| (&*row.recipient, &mut row.email));
    add_phone_numbers(&mut transaction, texts.collect()).await?;
    transaction.rollback().await?;
    session.close().await?;
    let deliveries = rows.into_iter().map(|row| {
        let of_delivery = row.delivery_id.and_then(|id| tried.get(&id));
        delivery(row, of_delivery.cloned().unwrap_or_default())
    });
    Ok(deliveries.collect())
}

fn delivery(row: Row, attempts: Vec<Attempt>) -> HistoryEntry {
    let to = recipient_text(
        &row.recipient,
        row.endpoint.as_deref(),
        row.endpoint_target.as_deref(),
        row.email.as_deref(),
    );
    // A digest is sent without e-mails that are no longer wanted.
    let is_left_out = row.email_status.as_deref() == Some("failed")
        && !matches!(row.status.as_str(), "dead" | "uncertain");
    let status = if is_left_out {
        "cancelled".to_owned()
    } else {
        row.status
    };
    // The reason of an e-mail begins with its status.
    let own = row
        .status_reason
        .map(|reason| match reason.strip_prefix(&format!("{status}: ")) {
            Some(why) => why.to_owned(),
            None => reason,
        });
    HistoryEntry {
        delivery_id: row.delivery_id,
        email_id: row.email_id,
        channel: row.channel,
        recipient: row.recipient,
        to,
        is_digest: row.is_digest,
        status,
        attempts_count: u64::from(row.attempts.unsigned_abs()),
        next_attempt_at: row.next_attempt_at,
        finished_at: row.finished_at,
        reason: own.or(row.reason),
        code: row.code,
        attempts,
    }
}

/// Replaces the addresses of text messages' recipients by their phone numbers, redacted.
pub(super) async fn add_phone_numbers(
    connection: &mut Transaction<'_>,
    texts: Vec<(&str, &mut Option<String>)>,
) -> Result<(), sqlx::Error> {
    let id = |recipient: &str| recipient.strip_prefix("user:")?.parse().ok();
    let ids: Vec<Uuid> = texts.iter().filter_map(|(to, _)| id(to)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let numbers = phone_numbers(connection, &ids).await?;
    for (recipient, address) in texts {
        let number = id(recipient).and_then(|id| numbers.get(&id));
        *address = number.map(|number| format!("{number:?}"));
    }
    Ok(())
}

/// The recipient of a delivery, with the address redacted.
pub(super) fn recipient_text(
    recipient: &str,
    endpoint: Option<&str>,
    endpoint_target: Option<&str>,
    address: Option<&str>,
) -> String {
    match (endpoint, endpoint_target, address) {
        (Some(name), Some(target), _) => format!("{name} ({target})"),
        (Some(name), None, _) => name.to_owned(),
        (None, _, Some(address)) => redact::mail_addresses(address),
        (None, _, None) => recipient.to_owned(),
    }
}
