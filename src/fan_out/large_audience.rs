//! Large audiences: too large to be written in a batch with other events.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::db::{Transaction, Unnamed};
use crate::domain::plan::{Audience, Plan};

/// An event with more recipients than this is written on its own, after others that are due.
const LARGE: i64 = 10_000;

/// A large audience is written in parts of this size, so that the memory of the server does not grow
/// with it.
const PART: i64 = 20_000;

/// Where to cut the audiences of the plans into parts, in one round trip: nowhere, if they are
/// small.
pub(super) async fn cuts(
    connection: &mut Transaction<'_>,
    plans: impl Iterator<Item = &Plan>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let groups: BTreeSet<_> = plans.filter_map(|plan| group(&plan.audience)).collect();
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
    .fetch_all(Unnamed(connection))
    .await
}

/// Projects, threads and meetings with a large audience.
#[derive(Debug, Default)]
pub(super) struct LargeAudiences(BTreeSet<(Group, Uuid)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum Group {
    Project,
    Thread,
    Meeting,
}

impl LargeAudiences {
    /// Finds those among the audiences of the plans, in one round trip.
    pub(super) async fn among(
        connection: &mut Transaction<'_>,
        plans: impl Iterator<Item = &Plan>,
    ) -> Result<Self, sqlx::Error> {
        let groups: BTreeSet<_> = plans.filter_map(|plan| group(&plan.audience)).collect();
        if groups.is_empty() {
            return Ok(Self::default());
        }
        let rows = sqlx::query_file!(
            "src/fan_out/large_audience.sql",
            &ids(&groups, Group::Project),
            &ids(&groups, Group::Thread),
            &ids(&groups, Group::Meeting),
            LARGE,
        )
        .fetch_all(Unnamed(connection))
        .await?;
        let large = rows.into_iter().map(|row| (row.group, row.id));
        Ok(Self(large.collect()))
    }

    /// Whether a plan's audience is one of them.
    pub(super) fn contain(&self, plan: &Plan) -> bool {
        group(&plan.audience).is_some_and(|group| self.0.contains(&group))
    }
}

/// The group that an audience is, if it is one that can be of any size.
fn group(audience: &Audience) -> Option<(Group, Uuid)> {
    match audience {
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
