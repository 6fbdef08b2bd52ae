//! Taking away what the seed made, and what came of it.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::world::{EVENTS, WORLD};
use super::{Count, SeedFailed};
use crate::db::{Access, Database, Transaction, Unnamed};

/// The least and the greatest identifier that the seed makes.
pub(super) const FIRST: Uuid = Uuid::from_u128(0x5eed_5eed_fa11_4000_8000_0000_0000_0000);
pub(super) const LAST: Uuid = Uuid::from_u128(0x5eed_5eed_fa11_4fff_8fff_ffff_ffff_ffff);

/// What leaves the building because of the seed's events, or for its people.
const DELIVERIES: &str = "user_id BETWEEN $1 AND $2 OR event_id = ANY ($3)";

/// Removes each row that speaks of the seed's world, and no other: one with an identifier of the
/// seed's in it, or that came of an event with one. Run again, it finds nothing.
pub async fn clear(database: &Database) -> Result<Vec<Count>, SeedFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let removed = remove(&mut transaction).await.map_err(SeedFailed::of)?;
    transaction.commit().await.map_err(SeedFailed::of)?;
    session.close().await?;
    Ok(removed)
}

async fn remove(connection: &mut Transaction<'_>) -> Result<Vec<Count>, sqlx::Error> {
    let mut removed = Vec::new();
    let events: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT id::bigint FROM domain_events WHERE {} ORDER BY id",
        of_the_seed(EVENTS.identifiers())
    )))
    .bind(FIRST)
    .bind(LAST)
    .fetch_all(Unnamed(&mut *connection))
    .await?;
    // Children first, whether or not foreign keys say that they are.
    if is_table(connection, "notification_deliveries").await? {
        let of_them = |column: &str, theirs: &str| {
            format!("{column} IN (SELECT {theirs} FROM notification_deliveries WHERE {DELIVERIES})")
        };
        for (relation, condition) in [
            (
                "notification_delivery_attempts",
                of_them("delivery_id", "id"),
            ),
            (
                "notification_delivery_guards",
                of_them("delivery_key", "key"),
            ),
            ("notification_deliveries", DELIVERIES.to_owned()),
        ] {
            let rows = delete(connection, relation, &condition, &events).await?;
            removed.push(Count {
                name: relation.to_owned(),
                rows,
            });
        }
    }
    for (relation, people) in [
        ("notifications", "user_id BETWEEN $1 AND $2 OR"),
        ("pending_emails", "user_id BETWEEN $1 AND $2 OR"),
        ("notification_once", "user_id BETWEEN $1 AND $2 OR"),
        ("notification_processing", ""),
    ] {
        let rows = delete(
            connection,
            relation,
            &format!("{people} event_id = ANY ($3)"),
            &events,
        )
        .await?;
        removed.push(Count {
            name: relation.to_owned(),
            rows,
        });
    }
    let rows = delete(connection, EVENTS.name, "id = ANY ($3)", &events).await?;
    removed.push(Count {
        name: EVENTS.name.to_owned(),
        rows,
    });
    for relation in WORLD.iter().rev() {
        // A view is the application's own affair: the seed has put nothing there.
        if !is_table(connection, relation.name).await? {
            continue;
        }
        let rows = delete(
            connection,
            relation.name,
            &of_the_seed(relation.identifiers()),
            &[],
        )
        .await?;
        removed.push(Count {
            name: relation.name.to_owned(),
            rows,
        });
    }
    Ok(removed)
}

pub(super) fn of_the_seed(columns: impl Iterator<Item = &'static str>) -> String {
    let each: Vec<_> = columns
        .map(|column| format!("{column} BETWEEN $1 AND $2"))
        .collect();
    each.join(" OR ")
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
