//! Reading the names that a batch speaks of.

use uuid::Uuid;

use crate::db::{Transaction, Unnamed};
use crate::handlers::{Lookups, Names, Profile, Rendering};

/// Looks up every name asked for, in one round trip, or none if nothing is.
pub(super) async fn look_up(
    connection: &mut Transaction<'_>,
    lookups: &Lookups,
    rendering: &Rendering,
) -> Result<Names, sqlx::Error> {
    let mut names = Names {
        rendering: rendering.clone(),
        ..Names::default()
    };
    if *lookups == Lookups::default() {
        return Ok(names);
    }
    let ids = |set: &std::collections::BTreeSet<Uuid>| set.iter().copied().collect::<Vec<_>>();
    let rows = sqlx::query_file!(
        "src/fan_out/names.sql",
        &ids(&lookups.people),
        &ids(&lookups.projects),
        &ids(&lookups.orgs),
        &ids(&lookups.resources),
        &ids(&lookups.threads),
        &ids(&lookups.meetings),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    for row in rows {
        if row.kind == "person" {
            let person = Profile {
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
