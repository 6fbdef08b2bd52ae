//! Announcements as the statements take them, and endpoints as they return them.

use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use uuid::Uuid;

use super::outcome::EndpointOutcome;
use super::resolve::column;
use crate::channels::{Channel, SentBy};
use crate::db::{Transaction, Unnamed};
use crate::domain::announcement::{Announcement, DedupKey};
use crate::handlers::EventType;

/// The head of each statement that writes, shows or explains the routing of announcements.
macro_rules! with_routed {
    ($statement:literal) => {
        concat!(include_str!("routed.sql"), include_str!($statement))
    };
}
pub(super) use with_routed;

const READ_ROUTED: &str = with_routed!("read_routed.sql");

/// The announcement of an event.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) announcement: Announcement,
}

/// An announcement at an endpoint or phone, as the dry run and explain read it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RoutedRow {
    pub(super) announcement_no: i32,
    pub(super) channel: String,
    pub(super) recipient: String,
    /// Of a phone.
    pub(super) user_id: Option<Uuid>,
    /// Of an endpoint.
    pub(super) name: Option<String>,
    pub(super) outcome: EndpointOutcome,
    pub(super) dedup_keys: Vec<String>,
    pub(super) delivery_id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) is_duplicate: bool,
}

/// Routes announcements, in their order, and writes nothing. Without any the database is not asked.
pub(super) async fn routed(
    transaction: &mut Transaction<'_>,
    announced: &[Announced],
    routes: &[(Channel, String)],
) -> Result<Vec<RoutedRow>, sqlx::Error> {
    if announced.is_empty() {
        return Ok(Vec::new());
    }
    bind_announcements(sqlx::query_as(READ_ROUTED), announced, routes)
        .fetch_all(Unnamed(transaction))
        .await
}

/// Binds what `routed.sql` asks for, `$1` to `$14`: announcements numbered by their places, the routes
/// of the environment, and what it has to know of the channels.
pub(super) fn bind_announcements<'q, O>(
    query: QueryAs<'q, Postgres, O, PgArguments>,
    rows: &'q [Announced],
    routes: &'q [(Channel, String)],
) -> QueryAs<'q, Postgres, O, PgArguments> {
    let list = |channels: &Vec<&str>| format!("{{{}}}", channels.join(","));
    let dedup_keys = |row: &Announced| {
        let keys = row.announcement.dedup_keys.iter().map(DedupKey::key);
        Json(keys.collect::<Vec<_>>())
    };
    let numbers = (0..).take(rows.len()).collect::<Vec<i32>>();
    let of_one_account = Channel::ALL
        .into_iter()
        .filter(|channel| matches!(channel.spec().sent_by, SentBy::Account { .. }));
    query
        .bind(numbers)
        .bind(column(rows, |row| row.event_id))
        .bind(column(rows, |row| row.event_type.name()))
        .bind(column(rows, |row| row.occurred_at))
        .bind(column(rows, |row| row.announcement.org_id))
        .bind(column(rows, |row| row.announcement.project_id))
        .bind(column(rows, |row| {
            row.announcement.channels.as_ref().map(list)
        }))
        .bind(column(rows, |row| row.announcement.sms_to))
        .bind(column(rows, |row| Json(&row.announcement.message)))
        .bind(column(rows, dedup_keys))
        .bind(column(routes, |(channel, _)| channel.name()))
        .bind(column(routes, |(_, name)| name.as_str()))
        .bind(of_one_account.map(Channel::name).collect::<Vec<_>>())
        .bind(Channel::Sms.name())
}
