//! Removes what the seed made, and what resulted from it.

use sqlx::AssertSqlSafe;

use super::world::{EVENTS, WORLD};
use super::{Count, FIRST, LAST, SeedFailed};
use crate::db::{Access, Database, Transaction, Unnamed};

/// Removes each row that belongs to the seed's world, and no other: one with an identifier of the
/// seed, or one that resulted from such an event. Run again, it finds nothing.
pub async fn clear(database: &Database) -> Result<Vec<Count>, SeedFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let removed = remove(&mut transaction).await.map_err(SeedFailed::of)?;
    transaction.commit().await.map_err(SeedFailed::of)?;
    session.close().await?;
    Ok(removed)
}

/// What results from events, children first, whether or not foreign keys say that they are. `$1` and
/// `$2` are the bounds of the seed's identifiers, `$3` its events.
const RESULTS: [(&str, &str); 7] = [
    (
        "notification_delivery_attempts",
        "delivery_id IN (SELECT id FROM notification_deliveries
                          WHERE user_id BETWEEN $1 AND $2 OR event_id = ANY ($3))",
    ),
    (
        "notification_delivery_guards",
        "delivery_key IN (SELECT key FROM notification_deliveries
                           WHERE user_id BETWEEN $1 AND $2 OR event_id = ANY ($3))",
    ),
    ("notification_deliveries", OF_PERSON_OR_EVENT),
    ("notifications", OF_PERSON_OR_EVENT),
    ("pending_emails", OF_PERSON_OR_EVENT),
    ("notification_once", OF_PERSON_OR_EVENT),
    ("notification_processing", "event_id = ANY ($3)"),
];
const OF_PERSON_OR_EVENT: &str = "user_id BETWEEN $1 AND $2 OR event_id = ANY ($3)";

async fn remove(connection: &mut Transaction<'_>) -> Result<Vec<Count>, sqlx::Error> {
    let mut removed = Vec::new();
    let events: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT id::bigint FROM domain_events WHERE {} ORDER BY id",
        EVENTS.is_of_the_seed()
    )))
    .bind(FIRST)
    .bind(LAST)
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    let results = RESULTS.map(|(name, condition)| (name, condition.to_owned()));
    let events_themselves = (EVENTS.name, "id = ANY ($3)".to_owned());
    let world = WORLD.iter().rev();
    let world = world.map(|relation| (relation.name, relation.is_of_the_seed()));
    for (relation, condition) in results.into_iter().chain([events_themselves]).chain(world) {
        // The seed inserts nothing into a view, and an older schema lacks some relations.
        if is_table(connection, relation).await? {
            removed.push(Count {
                name: relation.to_owned(),
                rows: delete(connection, relation, &condition, &events).await?,
            });
        }
    }
    Ok(removed)
}

async fn delete(
    connection: &mut Transaction<'_>,
    relation: &str,
    condition: &str,
    events: &[i64],
) -> Result<i64, sqlx::Error> {
    // Each parameter is mentioned, so that each has a type.
    let statement = format!(
        "DELETE FROM {relation} WHERE ({condition}) AND $1::uuid < $2::uuid AND $3::bigint[] IS NOT NULL"
    );
    let done = sqlx::query(AssertSqlSafe(statement))
        .bind(FIRST)
        .bind(LAST)
        .bind(events)
        .execute(Unnamed(connection))
        .await?;
    Ok(done.rows_affected().cast_signed())
}

async fn is_table(connection: &mut Transaction<'_>, relation: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_class
            WHERE oid = to_regclass($1) AND relkind IN ('r', 'p')) AS "is_table!""#,
        relation
    )
    .fetch_one(Unnamed(connection))
    .await
}
