//! Reading the names that a batch speaks of.

use uuid::Uuid;

use crate::db::{Transaction, Unnamed};
use crate::handlers::{Names, Person, Rendering, Wanted};

/// Looks up every name wanted, in one round trip, or none if nothing is.
pub(super) async fn look_up(
    connection: &mut Transaction<'_>,
    wanted: &Wanted,
    rendering: &Rendering,
) -> Result<Names, sqlx::Error> {
    let mut names = Names {
        rendering: rendering.clone(),
        ..Names::default()
    };
    if *wanted == Wanted::default() {
        return Ok(names);
    }
    let ids = |set: &std::collections::BTreeSet<Uuid>| set.iter().copied().collect::<Vec<_>>();
    let rows = sqlx::query_file!(
        "src/fan_out/names.sql",
        &ids(&wanted.people),
        &ids(&wanted.projects),
        &ids(&wanted.orgs),
        &ids(&wanted.resources),
        &ids(&wanted.threads),
        &ids(&wanted.meetings),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    for row in rows {
        if row.kind == "person" {
            let person = Person {
                full_name: row.name,
                email: row.email,
            };
            names.people.insert(row.id, person);
            continue;
        }
        if let Some(start_time) = row.start_time {
            names.meeting_times.insert(row.id, start_time);
        }
        if let Some(name) = row.name {
            let table = match row.kind.as_str() {
                "project" => &mut names.projects,
                "org" => &mut names.orgs,
                "resource" => &mut names.resources,
                "thread" => &mut names.threads,
                _ => &mut names.meetings,
            };
            table.insert(row.id, name);
        }
    }
    Ok(names)
}
