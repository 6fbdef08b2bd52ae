//! What the seed fills: the application's relations and their columns.

use sqlx::AssertSqlSafe;

use super::{Count, FIRST, LAST};
use crate::db::{Transaction, Unnamed};

/// A relation with the columns that the seed fills.
pub(super) struct Relation {
    pub(super) name: &'static str,
    /// Separated by spaces.
    columns: &'static str,
}

const fn relation(name: &'static str, columns: &'static str) -> Relation {
    Relation { name, columns }
}

impl Relation {
    fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(' ')
    }

    /// The condition on the columns that hold identifiers: one is between `$1` and `$2`.
    pub(super) fn is_of_the_seed(&self) -> String {
        let identifiers = self
            .columns()
            .filter(|column| *column == "id" || column.ends_with("_id"));
        let each = identifiers.map(|column| format!("{column} BETWEEN $1 AND $2"));
        each.collect::<Vec<_>>().join(" OR ")
    }
}

/// Parents first.
pub(super) const WORLD: &[Relation] = &[
    relation("profiles", "id email full_name"),
    relation("orgs", "id name"),
    relation("org_members", "org_id user_id role"),
    relation("projects", "id name owner_org_id"),
    relation("project_access_grants", "project_id user_id"),
    relation("resources", "id org_id project_id name"),
    relation("permissions", "resource_id user_id permission"),
    relation("chat_threads", "id project_id topic"),
    relation("chat_thread_participants", "thread_id user_id"),
    relation("meetings", "id title start_time project_id"),
    relation("meeting_participants", "meeting_id user_id"),
    relation(
        "user_notification_preferences",
        "user_id scope_type scope_id event_type channel status",
    ),
];

/// The events, whose own identifier is a number.
pub(super) const EVENTS: Relation = relation(
    "domain_events",
    "event_type actor_id project_id org_id resource_id thread_id meeting_id payload",
);

/// The names of all that is filled.
pub(super) fn relations() -> Vec<String> {
    all().map(|relation| relation.name.to_owned()).collect()
}

fn all() -> impl Iterator<Item = &'static Relation> {
    WORLD.iter().chain([&EVENTS])
}

/// What keeps the world out of the database, for people.
pub(super) async fn obstacles(
    connection: &mut Transaction<'_>,
) -> Result<Vec<String>, sqlx::Error> {
    let columns = all().flat_map(|relation| {
        let columns = relation.columns();
        columns.map(|column| format!("{}.{column}", relation.name))
    });
    let columns: Vec<_> = columns.collect();
    sqlx::query_file_scalar!("seed/obstacles.sql", &relations(), &columns)
        .fetch_all(Unnamed(connection))
        .await
}

/// Finds the relations that hold rows which the seed has not made. Only the newest events are read:
/// the seed may have made millions.
pub(super) async fn foreign(connection: &mut Transaction<'_>) -> Result<Vec<String>, sqlx::Error> {
    let of_the_world = WORLD.iter().map(|relation| (relation, ""));
    let newest_events = (&EVENTS, "ORDER BY id DESC LIMIT 1000");
    let looks = of_the_world
        .chain([newest_events])
        .map(|(relation, newest)| {
            let (name, ours) = (relation.name, relation.is_of_the_seed());
            format!(
                "SELECT '{name}' WHERE EXISTS (
                 SELECT FROM (SELECT * FROM {name} {newest}) AS row WHERE ({ours}) IS NOT TRUE)"
            )
        });
    let looks = looks.collect::<Vec<_>>().join(" UNION ALL ");
    sqlx::query_scalar(AssertSqlSafe(looks))
        .bind(FIRST)
        .bind(LAST)
        .fetch_all(Unnamed(connection))
        .await
}

/// Inserts the rows of the readable world that are not there.
pub(super) async fn insert(connection: &mut Transaction<'_>) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_file_as!(Count, "seed/world.sql")
        .fetch_all(Unnamed(connection))
        .await
}
