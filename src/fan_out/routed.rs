//! Announcements as the statements take them: a column for each of their parts.

use chrono::{DateTime, Utc};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;

use crate::channels::Channel;
use crate::domain::announcement::{Announcement, DedupKey};
use crate::handlers::EventType;

/// The head of each statement that writes, shows or explains the routing of announcements.
macro_rules! with_routed {
    ($statement:literal) => {
        concat!(include_str!("routed.sql"), include_str!($statement))
    };
}
pub(super) use with_routed;

/// The announcement of an event.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) announcement: Announcement,
}

/// Binds announcements as `$1` to `$10`, numbered by their places, and the routes of the environment
/// as `$11` and `$12`.
pub(super) fn bind_announcements<'q, O>(
    query: QueryAs<'q, Postgres, O, PgArguments>,
    rows: &'q [Announced],
    routes: &'q [(Channel, String)],
) -> QueryAs<'q, Postgres, O, PgArguments> {
    fn column<'q, R, T>(rows: &'q [R], of: impl Fn(&'q R) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let list = |channels: &Vec<&str>| format!("{{{}}}", channels.join(","));
    let dedup_keys = |row: &Announced| {
        let keys = row.announcement.dedup_keys.iter().map(DedupKey::key);
        Json(keys.collect::<Vec<_>>())
    };
    let numbers = (0..).take(rows.len()).collect::<Vec<i32>>();
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
        .bind(column(routes, |(kind, _)| kind.name()))
        .bind(column(routes, |(_, name)| name.as_str()))
}
