//! The limit: what one connection needs to write the rows that the job has written once more, in
//! one transaction.

use std::time::Instant;

use serde::Serialize;
use sqlx::Connection;

use super::lab::Lab;

const BARE: &[&str] = &[
    "INSERT INTO bare.notifications SELECT * FROM bare.notifications_rows",
    "INSERT INTO bare.pending_emails SELECT * FROM bare.pending_emails_rows",
    "INSERT INTO bare.notification_processing SELECT * FROM bare.notification_processing_rows",
];

/// How many rows that is, per table.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Rows {
    pub(crate) notifications: i64,
    pub(crate) pending_emails: i64,
    pub(crate) notification_processing: i64,
}

/// Keeps the rows that a run has left, and writes them for the first time, which does not count.
pub(crate) async fn keep(lab: &mut Lab) -> anyhow::Result<Rows> {
    lab.sql(include_str!("bare.sql")).await?;
    seconds(lab).await?;
    Ok(Rows {
        notifications: lab.count("SELECT count(*) FROM notifications").await?,
        pending_emails: lab.count("SELECT count(*) FROM pending_emails").await?,
        notification_processing: lab
            .count("SELECT count(*) FROM notification_processing")
            .await?,
    })
}

/// Writes them into empty tables.
pub(crate) async fn seconds(lab: &mut Lab) -> anyhow::Result<f64> {
    lab.sql("TRUNCATE bare.notifications, bare.pending_emails, bare.notification_processing")
        .await?;
    lab.sql("VACUUM profiles, domain_events").await?;
    lab.sql("CHECKPOINT").await?;
    let mut connection = lab.connect().await?;
    let started = Instant::now();
    let mut transaction = connection.begin().await?;
    for &insert in BARE {
        sqlx::raw_sql(insert).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    let time = started.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(time)
}
