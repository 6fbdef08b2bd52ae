//! Delivery history of an event: its deliveries, and its e-mails in digests.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::attempts::{Attempt, attempts};
use super::recipient::{DeliveryRecipient, show_addresses};
use crate::db::{Access, Database, Unnamed};

/// Deliveries shown at most; `--user` shows those of one recipient.
const MOST: i64 = 1_000;

/// A delivery of an event to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    #[serde(flatten)]
    pub delivery: HistoryDelivery,
    /// Its latest attempts.
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryDelivery {
    /// The delivery; none for an e-mail that was left out.
    pub delivery_id: Option<i64>,
    /// The row of `pending_emails`, of an e-mail to a person.
    pub email_id: Option<i64>,
    pub channel: String,
    /// `user:ID`, `endpoint:ID` or a route.
    pub recipient: String,
    /// For people: the endpoint's name or the address, redacted.
    pub to: String,
    #[serde(skip)]
    pub address: Option<String>,
    /// Whether the delivery is a digest of several e-mails.
    pub is_digest: bool,
    pub status: String,
    /// Attempts since it was queued or requeued.
    pub attempts_count: i32,
    /// When it is due, while it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it was not delivered.
    pub reason: Option<String>,
    /// The class of the failure.
    pub code: Option<String>,
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
    let mut rows = sqlx::query_file_as!(
        HistoryDelivery,
        "src/ops/delivery_history.sql",
        event_id,
        user,
        MOST
    )
    .fetch_all(Unnamed(&mut transaction))
    .await?;
    let deliveries: Vec<i64> = rows.iter().filter_map(|row| row.delivery_id).collect();
    let attempts = attempts(&mut transaction, &deliveries).await?;
    let recipients = rows.iter_mut().map(|row| DeliveryRecipient {
        channel: &row.channel,
        recipient: &row.recipient,
        address: row.address.take(),
        to: &mut row.to,
    });
    show_addresses(&mut transaction, recipients.collect()).await?;
    transaction.rollback().await?;
    session.close().await?;
    let entry = |delivery: HistoryDelivery| {
        let of_delivery = delivery.delivery_id.and_then(|id| attempts.get(&id));
        HistoryEntry {
            attempts: of_delivery.cloned().unwrap_or_default(),
            delivery,
        }
    };
    Ok(rows.into_iter().map(entry).collect())
}
