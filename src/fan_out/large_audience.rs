//! Large audiences: too large to be written in a batch with other events.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::plan::Planned;
use crate::db::{Transaction, Unnamed};
use crate::domain::plan::Audience;

/// An event with more recipients than this is written on its own, after others that are due.
const LARGE: i64 = 10_000;

/// A large audience is written in parts of this size, so that the memory of the server does not grow
/// with it.
const PART: i64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum Group {
    Project,
    Thread,
    Meeting,
}

/// Where to cut the audiences of the plans into parts, in one round trip: nowhere, if they are
/// small.
pub(super) async fn cuts(
    transaction: &mut Transaction<'_>,
    plans: &[Planned],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let groups: BTreeSet<_> = plans.iter().filter_map(group).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_file_scalar!(
        "src/fan_out/large_audience_cuts.sql",
        &ids(&groups, Group::Project),
        &ids(&groups, Group::Thread),
        &ids(&groups, Group::Meeting),
        PART,
    )
    .fetch_all(Unnamed(transaction))
    .await
}

/// The events, ascending, whose plans have a large audience; found in one round trip.
pub(super) async fn large_events(
    transaction: &mut Transaction<'_>,
    plans: &[Planned],
) -> Result<Vec<i64>, sqlx::Error> {
    let groups: BTreeSet<_> = plans.iter().filter_map(group).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_file!(
        "src/fan_out/large_audience.sql",
        &ids(&groups, Group::Project),
        &ids(&groups, Group::Thread),
        &ids(&groups, Group::Meeting),
        LARGE,
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let large: BTreeSet<_> = rows.into_iter().map(|row| (row.group, row.id)).collect();
    let plans = plans.iter();
    let plans = plans.filter(|planned| group(planned).is_some_and(|group| large.contains(&group)));
    let mut events: Vec<_> = plans.map(|planned| planned.event_id).collect();
    events.dedup();
    Ok(events)
}

/// The group that an audience is, if it is one that can be of any size.
fn group(planned: &Planned) -> Option<(Group, Uuid)> {
    match &planned.plan.audience {
        Audience::ProjectViewers { project_id, .. } => project_id.map(|id| (Group::Project, id)),
        Audience::ThreadParticipants { thread_id, .. } => Some((Group::Thread, *thread_id)),
        Audience::MeetingParticipants { meeting_id } => Some((Group::Meeting, *meeting_id)),
        Audience::User(_)
        | Audience::ProjectOwner { .. }
        | Audience::ThreadMentions { .. }
        | Audience::OrgOwners { .. } => None,
    }
}

fn ids(groups: &BTreeSet<(Group, Uuid)>, wanted: Group) -> Vec<Uuid> {
    let of_kind = groups.iter().filter(|(kind, _)| *kind == wanted);
    of_kind.map(|(_, id)| *id).collect()
}
