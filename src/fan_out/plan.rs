//! What handlers plan for decoded events: one path for the run, the dry run and explain.

use uuid::Uuid;

use super::decode::DecodedEvent;
use super::routed::Announced;
use crate::domain::plan::{Audience, InApp, Plan};
use crate::handlers::{EventType, Names};

/// A plan, with what it is the plan of.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    /// Among the plans of a transaction: notifications are created in this order.
    pub(super) plan_no: usize,
    /// The event, or the newest of several that coalesce.
    pub(super) event_id: i64,
    pub(super) event_type: EventType,
    /// How many events it represents.
    pub(super) events: usize,
    pub(super) plan: Plan,
    /// Of the participants of its thread only these.
    pub(super) only: Option<Vec<Uuid>>,
}

impl Planned {
    /// Whether its notifications may be merged into unread ones.
    pub(super) fn is_coalesced(&self) -> bool {
        self.plan.in_app.coalesce_key().is_some()
    }

    /// Those in its thread who are not candidates, because they have a plan of their own.
    pub(super) fn except(&self) -> &[Uuid] {
        match &self.plan.audience {
            Audience::ThreadParticipants { except, .. } => except,
            _ => &[],
        }
    }
}

/// The plans and announcements of a batch, in the order of its events.
#[derive(Debug, Default)]
pub(super) struct Plans {
    pub(super) planned: Vec<Planned>,
    pub(super) announced: Vec<Announced>,
}

impl Plans {
    pub(super) fn of<'e>(
        events: impl IntoIterator<Item = &'e DecodedEvent>,
        names: &Names,
    ) -> Self {
        let mut plans = Self::default();
        for event in events {
            let Ok(handler) = &event.handler else {
                continue;
            };
            for plan in handler.plan(names) {
                plans.planned.push(Planned {
                    plan_no: plans.planned.len(),
                    event_id: event.event_id,
                    event_type: event.event_type,
                    events: 1,
                    plan,
                    only: None,
                });
            }
            let announcement = handler.announce(names);
            plans
                .announced
                .extend(announcement.map(|announcement| Announced {
                    event_id: event.event_id,
                    event_type: event.event_type,
                    occurred_at: event.occurred_at,
                    announcement,
                }));
        }
        plans
    }

    /// Splits coalescing plans that also mail: the run writes coalesced notifications apart.
    pub(super) fn split_coalesced(mut self) -> Self {
        self.planned = self.planned.into_iter().flat_map(split).collect();
        for (plan_no, planned) in self.planned.iter_mut().enumerate() {
            planned.plan_no = plan_no;
        }
        self
    }

    /// Leaves out the plans and announcements of other events.
    pub(super) fn retain(&mut self, is_kept: impl Fn(i64) -> bool) {
        self.planned.retain(|planned| is_kept(planned.event_id));
        self.announced
            .retain(|announced| is_kept(announced.event_id));
    }
}

fn split(planned: Planned) -> Vec<Planned> {
    if !planned.is_coalesced() || planned.plan.email.is_none() {
        return vec![planned];
    }
    let (mut mailed, mut shown) = (planned.clone(), planned);
    mailed.plan.in_app = InApp::None;
    shown.plan.email = None;
    vec![mailed, shown]
}

/// The plan or announcement that a row of the answer refers to by its number.
pub(super) fn numbered<T>(all: &[T], no: i32) -> Result<&T, sqlx::Error> {
    let found = usize::try_from(no).ok().and_then(|no| all.get(no));
    found.ok_or_else(|| sqlx::Error::Decode(format!("no plan has the number {no}").into()))
}
