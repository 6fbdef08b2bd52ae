//! Finds rows that the seed has not made.

use sqlx::AssertSqlSafe;

use super::clear::{FIRST, LAST, of_the_seed};
use super::world::{EVENTS, WORLD};
use crate::db::{Transaction, Unnamed};

/// The relations that hold some. Only the newest events are read: the seed may have made millions.
pub(super) async fn relations(
    connection: &mut Transaction<'_>,
) -> Result<Vec<String>, sqlx::Error> {
    let of_the_world = WORLD.iter().map(|relation| (relation, ""));
    let mut looks = Vec::new();
    for (relation, newest) in of_the_world.chain([(&EVENTS, "ORDER BY id DESC LIMIT 1000")]) {
        let name = relation.name;
        let ours = of_the_seed(relation.identifiers());
        looks.push(format!(
            "SELECT '{name}' WHERE EXISTS (
                 SELECT FROM (SELECT * FROM {name} {newest}) AS row WHERE ({ours}) IS NOT TRUE)"
        ));
    }
    sqlx::query_scalar(AssertSqlSafe(looks.join(" UNION ALL ")))
        .bind(FIRST)
        .bind(LAST)
        .fetch_all(Unnamed(connection))
        .await
}
