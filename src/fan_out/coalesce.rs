//! Coalesces a batch's chat events per thread, so that each recipient is resolved and written once.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::plan::Planned;
use crate::domain::plan::Audience;

/// Merges plans of one event each, in the order of their events, into plans of several events:
/// recipients with the same events under the same key share a plan.
///
/// Each recipient is notified of the same events as without merging. This holds only for events that
/// nobody was notified of before; the `others` stay as they are.
pub(super) fn coalesce(fresh: Vec<Planned>, mut others: Vec<Planned>) -> Vec<Planned> {
    let mut threads = BTreeMap::<_, Vec<Planned>>::new();
    for planned in fresh {
        let Audience::ThreadParticipants { thread_id, .. } = planned.plan.audience else {
            others.push(planned);
            continue;
        };
        let key = planned.plan.in_app.coalesce_key().map(str::to_owned);
        let scopes = planned.plan.scopes;
        let thread = (
            key,
            thread_id,
            planned.event_type,
            scopes.project_id,
            scopes.thread_id,
        );
        threads.entry(thread).or_default().push(planned);
    }
    others.extend(threads.into_values().flat_map(merge));
    others
}

/// Merges plans for the participants of one thread that differ in their events only.
fn merge(plans: Vec<Planned>) -> Vec<Planned> {
    if plans.len() < 2 {
        return plans;
    }
    let mut left_out = BTreeMap::<Uuid, BTreeSet<usize>>::new();
    for (place, planned) in plans.iter().enumerate() {
        for &user_id in planned.plan.actor_id.iter().chain(planned.except()) {
            left_out.entry(user_id).or_default().insert(place);
        }
    }
    let mut alike = BTreeMap::<_, Vec<Uuid>>::new();
    for (&user_id, left_out) in &left_out {
        let mut included = (0..plans.len()).filter(|place| !left_out.contains(place));
        if let Some(first) = included.next() {
            let (last, more) = included.fold((first, 0), |(_, more), place| (place, more + 1));
            let recipients = alike.entry((last, 1 + more)).or_default();
            recipients.push(user_id);
        }
    }
    let several = |last: usize, events: usize| {
        let mut planned = plans[last].clone();
        planned.events = events;
        planned.plan.actor_id = None;
        planned
    };
    let mut merged: Vec<_> = alike
        .into_iter()
        .map(|((last, events), user_ids)| Planned {
            only: Some(user_ids),
            ..several(last, events)
        })
        .collect();
    let mut everyone_else = several(plans.len() - 1, plans.len());
    if let Audience::ThreadParticipants { except, .. } = &mut everyone_else.plan.audience {
        *except = left_out.into_keys().collect();
    }
    merged.push(everyone_else);
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::plan::{InApp, Notification, Plan, PreferenceScopes};
    use crate::handlers::EventType;

    const RECIPIENTS: u128 = 5;

    /// One message: who sent it, and who has a separate plan for it.
    fn message(place: usize, sender: u128, except: &[u128]) -> Planned {
        let audience = Audience::ThreadParticipants {
            thread_id: Uuid::from_u128(100),
            except: except.iter().copied().map(Uuid::from_u128).collect(),
        };
        Planned {
            plan_no: place,
            event_id: i64::try_from(place).expect("few") * 10,
            event_type: EventType::ChatMessageSent,
            events: 1,
            plan: Plan {
                actor_id: Some(Uuid::from_u128(sender)),
                in_app: InApp::Coalesced {
                    key: "thread_activity:100".to_owned(),
                    message: Notification::default(),
                },
                ..Plan::new(audience, PreferenceScopes::default())
            },
            only: None,
        }
    }

    /// The plans that notify a recipient.
    fn of(plans: &[Planned], recipient: u128) -> impl Iterator<Item = &Planned> {
        let recipient = Uuid::from_u128(recipient);
        let is_notified = move |planned: &&Planned| match &planned.only {
            Some(only) => only.contains(&recipient),
            None => !planned.except().contains(&recipient),
        };
        let plans = plans.iter().filter(is_notified);
        plans.filter(move |planned| planned.plan.actor_id != Some(recipient))
    }

    /// What a recipient is notified of: how many events, and the newest.
    fn notified(plans: &[Planned], recipient: u128) -> Option<(usize, i64)> {
        let events = of(plans, recipient).map(|planned| planned.events).sum();
        let newest = of(plans, recipient).map(|planned| planned.event_id).max();
        Some((events, newest?))
    }

    #[test]
    fn recipients_of_the_same_events_share_a_plan() {
        let plans = (0..4).map(|place| message(place, 1 + place as u128, &[]));
        let coalesced = coalesce(plans.collect(), Vec::new());
        let shape: Vec<_> = coalesced
            .iter()
            .map(|planned| {
                let only = planned.only.as_ref().map(Vec::len);
                (planned.event_id, planned.events, only)
            })
            .collect();
        // The last sender, the three before, and who wrote nothing.
        assert_eq!(shape, [(20, 3, Some(1)), (30, 3, Some(3)), (30, 4, None)]);
    }

    #[test]
    fn events_notified_before_are_not_merged() {
        let plans = coalesce(
            vec![message(0, 1, &[]), message(2, 2, &[])],
            vec![message(1, 3, &[])],
        );
        let mut events: Vec<_> = plans
            .iter()
            .map(|planned| (planned.event_id, planned.events))
            .collect();
        events.sort_unstable();
        assert_eq!(events, [(0, 1), (10, 1), (20, 1), (20, 2)]);
    }

    proptest! {
        #[test]
        fn each_recipient_is_notified_of_the_same_events(
            messages in prop::collection::vec(
                (0..RECIPIENTS, prop::collection::vec(0..RECIPIENTS, 0..3)), 0..8),
        ) {
            let plans: Vec<_> = messages
                .iter()
                .enumerate()
                .map(|(place, (sender, except))| message(place, *sender, except))
                .collect();
            let coalesced = coalesce(plans.clone(), Vec::new());
            for recipient in 0..=RECIPIENTS {
                prop_assert_eq!(notified(&plans, recipient), notified(&coalesced, recipient), "recipient {}", recipient);
                prop_assert!(of(&coalesced, recipient).count() <= 1);
            }
        }
    }
}
