//! The attempt log of deliveries.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{Transaction, Unnamed};

/// The latest attempts shown of one delivery.
const MOST: i64 = 50;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    #[serde(skip)]
    pub delivery_id: i64,
    /// Its number since the delivery was queued or requeued.
    pub attempt: i32,
    pub transport: String,
    pub started_at: DateTime<Utc>,
    /// `None`: the worker died before it recorded the result.
    #[serde(rename = "duration_milliseconds")]
    pub duration_ms: Option<i32>,
    /// `delivered`, `retry`, `permanent`, `uncertain` or `lost`.
    pub outcome: String,
    /// The status of the answer, of HTTP or SMTP.
    pub status: Option<i32>,
    /// The class of the failure.
    pub code: Option<String>,
    pub error: Option<String>,
    /// The beginning of the answer.
    pub answer: Option<String>,
}

/// The attempts of each of these deliveries, oldest first.
pub(super) async fn attempts(
    connection: &mut Transaction<'_>,
    deliveries: &[i64],
) -> Result<BTreeMap<i64, Vec<Attempt>>, sqlx::Error> {
    let rows = sqlx::query_file_as!(Attempt, "src/ops/attempts.sql", deliveries, MOST)
        .fetch_all(Unnamed(connection))
        .await?;
    let mut by_delivery: BTreeMap<i64, Vec<Attempt>> = BTreeMap::new();
    for attempt in rows {
        let of_delivery = by_delivery.entry(attempt.delivery_id).or_default();
        of_delivery.push(attempt);
    }
    Ok(by_delivery)
}
