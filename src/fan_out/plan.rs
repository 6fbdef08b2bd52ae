//! What handlers plan for decoded events: one path for the run, the dry run and explain.

use super::decode::DecodedEvent;
use super::resolve::PlanRow;
use super::routed::Announced;
use crate::domain::plan::{InApp, Plan};
use crate::handlers::Names;

/// The plans and announcements of a batch, in the order of its events.
pub(super) struct Plans<'e> {
    pub(super) plans: Vec<(&'e DecodedEvent, Plan)>,
    pub(super) announced: Vec<Announced>,
}

impl<'e> Plans<'e> {
    pub(super) fn of(events: impl IntoIterator<Item = &'e DecodedEvent>, names: &Names) -> Self {
        let (mut plans, mut announced) = (Vec::new(), Vec::new());
        for event in events {
            let Ok(handler) = &event.handler else {
                continue;
            };
            plans.extend(handler.plan(names).into_iter().map(|plan| (event, plan)));
            announced.extend(handler.announce(names).map(|announcement| Announced {
                event_id: event.event_id,
                event_type: event.event_type,
                occurred_at: event.occurred_at,
                announcement,
            }));
        }
        Self { plans, announced }
    }

    /// Splits coalescing plans that also mail: the run writes coalesced notifications apart.
    pub(super) fn split_coalesced(mut self) -> Self {
        self.plans = self.plans.into_iter().flat_map(split).collect();
        self
    }

    /// The plans as the statements take them, numbered by their places.
    pub(super) fn rows<'p>(plans: &'p [(&DecodedEvent, Plan)]) -> Vec<PlanRow<'p>> {
        let numbered = plans.iter().enumerate();
        numbered
            .map(|(plan_no, (event, plan))| PlanRow::new(plan_no, event, plan))
            .collect()
    }
}

fn split((event, plan): (&DecodedEvent, Plan)) -> Vec<(&DecodedEvent, Plan)> {
    if !matches!(plan.in_app, InApp::Coalesced { .. }) || plan.email.is_none() {
        return vec![(event, plan)];
    }
    let mailed = Plan {
        in_app: InApp::None,
        ..plan.clone()
    };
    let shown = Plan {
        email: None,
        ..plan
    };
    vec![(event, mailed), (event, shown)]
}

/// The plan or announcement that a row of the answer refers to by its number.
pub(super) fn numbered<T>(all: &[T], no: i32) -> Result<&T, sqlx::Error> {
    let found = usize::try_from(no).ok().and_then(|no| all.get(no));
    found.ok_or_else(|| sqlx::Error::Decode(format!("no plan has the number {no}").into()))
}
