//! Mails that wait become deliveries: one each, or one together as a digest.

use super::decide::Next;
use super::report::DeliveryReport;
use super::{DIGEST, Settings};
use crate::db::{Transaction, Unnamed};
use crate::domain::channel::Kind;

/// Key of the advisory lock; any constant does.
const LOCK_KEY: i64 = 0x006e_6f74_6966_7903;
/// Mails taken in one statement. So many are queued ahead of what can be sent.
const MAILS: i64 = 1_000;
/// Mails of one person's digest; what is beyond comes with the next.
const DIGEST_MOST: i64 = 500;

/// Promotes a batch of each kind. `false`: nothing was left to promote.
pub(super) async fn promote(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    report: &mut DeliveryReport,
) -> Result<bool, sqlx::Error> {
    sqlx::query_file!("src/delivery/lock.sql", LOCK_KEY)
        .execute(Unnamed(&mut *connection))
        .await?;
    let max_age = settings.max_age.as_secs_f64();
    let single = sqlx::query_file!("src/delivery/promote_mails.sql", MAILS, max_age)
        .fetch_all(Unnamed(&mut *connection))
        .await?;
    let together = sqlx::query_file!(
        "src/delivery/promote_digests.sql",
        settings.digest_every.as_secs_f64(),
        MAILS,
        max_age,
        DIGEST_MOST,
    )
    .fetch_one(Unnamed(connection))
    .await?;
    let mails = single.iter().map(|row| row.mails).sum::<i64>() + together.mails;
    report.mails += mails.unsigned_abs();
    report.digests += together.digests.unsigned_abs();
    for row in single {
        let next = match row.status.as_str() {
            "dead" => Next::Dead,
            "cancelled" => Next::Cancelled,
            _ => continue,
        };
        report.count(Kind::Email, &row.event_type, next, row.mails.unsigned_abs());
    }
    if together.expired > 0 {
        let expired = together.expired.unsigned_abs();
        report.count(Kind::Email, DIGEST, Next::Dead, expired);
    }
    if report.dead > 0 {
        tracing::warn!(
            deliveries = report.dead,
            "mails that had waited for longer than NOTIFY_DELIVERY_MAX_AGE are dead letters now"
        );
    }
    Ok(mails > 0)
}
