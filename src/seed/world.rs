//! What the seed fills: the application's relations and their columns.

use super::Count;
use crate::db::{Transaction, Unnamed};

/// A relation with the columns that the seed fills.
#[derive(Debug)]
pub(super) struct Relation {
    pub(super) name: &'static str,
    columns: &'static [&'static str],
}

impl Relation {
    /// The columns that hold identifiers.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = &'static str> {
        self.columns
            .iter()
            .copied()
            .filter(|column| *column == "id" || column.ends_with("_id"))
    }
}

/// Parents first.
pub(super) const WORLD: &[Relation] = &[
    Relation {
        name: "profiles",
        columns: &["id", "email", "full_name"],
    },
    Relation {
        name: "orgs",
        columns: &["id", "name"],
    },
    Relation {
        name: "org_members",
        columns: &["org_id", "user_id", "role"],
    },
    Relation {
        name: "projects",
        columns: &["id", "name", "owner_org_id"],
    },
    Relation {
        name: "project_access_grants",
        columns: &["project_id", "user_id"],
    },
    Relation {
        name: "resources",
        columns: &["id", "org_id", "project_id", "name"],
    },
    Relation {
        name: "permissions",
        columns: &["resource_id", "user_id", "permission"],
    },
    Relation {
        name: "chat_threads",
        columns: &["id", "project_id", "topic"],
    },
    Relation {
        name: "chat_thread_participants",
        columns: &["thread_id", "user_id"],
    },
    Relation {
        name: "meetings",
        columns: &["id", "title", "start_time", "project_id"],
    },
    Relation {
        name: "meeting_participants",
        columns: &["meeting_id", "user_id"],
    },
    Relation {
        name: "user_notification_preferences",
        columns: &[
            "user_id",
            "scope_type",
            "scope_id",
            "event_type",
            "channel",
            "status",
        ],
    },
];

/// The events, whose own identifier is a number.
pub(super) const EVENTS: Relation = Relation {
    name: "domain_events",
    columns: &[
        "event_type",
        "actor_id",
        "project_id",
        "org_id",
        "resource_id",
        "thread_id",
        "meeting_id",
        "payload",
    ],
};

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
    let columns: Vec<_> = all()
        .flat_map(|relation| {
            relation
                .columns
                .iter()
                .map(|column| format!("{}.{column}", relation.name))
        })
        .collect();
    sqlx::query_file_scalar!("seed/obstacles.sql", &relations(), &columns)
        .fetch_all(Unnamed(connection))
        .await
}

/// Inserts the rows of the readable world that are not there.
pub(super) async fn insert(connection: &mut Transaction<'_>) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_file_as!(Count, "seed/world.sql")
        .fetch_all(Unnamed(connection))
        .await
}
