//! Reads the names that the plans of a batch mention.

use uuid::Uuid;

use super::decode::DecodedEvent;
use crate::db::{Transaction, Unnamed};
use crate::handlers::{Lookups, Names, Profile, Rendering};

/// What a row of the statement names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum Entity {
    Person,
    Project,
    Org,
    Resource,
    Thread,
    Meeting,
}

/// Looks up every name that the handlers of the events ask for, in one round trip, or none if they
/// ask for nothing.
pub(super) async fn look_up(
    connection: &mut Transaction<'_>,
    events: impl IntoIterator<Item = &DecodedEvent>,
    rendering: &Rendering,
) -> Result<Names, sqlx::Error> {
    let mut lookups = Lookups::default();
    let handlers = events
        .into_iter()
        .filter_map(|event| event.handler.as_ref().ok());
    handlers.for_each(|handler| handler.lookups(&mut lookups));
    let mut names = Names {
        rendering: rendering.clone(),
        ..Names::default()
    };
    if lookups == Lookups::default() {
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
        let table = match row.entity {
            Entity::Person => {
                let person = Profile {
                    full_name: row.name,
                    email: row.email,
                };
                names.people.insert(row.id, person);
                continue;
            }
            Entity::Project => &mut names.projects,
            Entity::Org => &mut names.orgs,
            Entity::Resource => &mut names.resources,
            Entity::Thread => &mut names.threads,
            Entity::Meeting => &mut names.meetings,
        };
        if let Some(name) = row.name {
            table.insert(row.id, name);
        }
        if let Some(start_time) = row.start_time {
            names.meeting_times.insert(row.id, start_time);
        }
    }
    Ok(names)
}
