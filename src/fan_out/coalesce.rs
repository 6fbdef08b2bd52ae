//! Coalesces a batch's chat events per thread, so that each recipient is resolved and written once.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::resolve::PlanRow;

/// Merges plans of one event each, in the order of their events, into plans of several events:
/// recipients with the same events under the same key share a plan.
///
/// Each recipient is notified of the same events as without merging. This holds only for events that
/// nobody was notified of before; the `others` stay as they are.
pub(super) fn coalesce<'a>(fresh: Vec<PlanRow<'a>>, others: Vec<PlanRow<'a>>) -> Vec<PlanRow<'a>> {
    let mut groups = BTreeMap::<_, Vec<PlanRow<'_>>>::new();
    for row in fresh {
        let group = (
            row.coalesce_key,
            row.audience,
            row.thread_id,
            row.event_type,
            row.scope_project_id,
            row.scope_thread_id,
        );
        groups.entry(group).or_default().push(row);
    }
    let merged = groups.into_values().flat_map(merge);
    merged.chain(others).collect()
}

/// Merges plans for the participants of one thread that differ in their events only.
fn merge(rows: Vec<PlanRow<'_>>) -> Vec<PlanRow<'_>> {
    if rows.len() < 2 || rows[0].audience != PlanRow::THREAD {
        return rows;
    }
    let mut left_out = BTreeMap::<Uuid, BTreeSet<usize>>::new();
    for (place, row) in rows.iter().enumerate() {
        for &user_id in row.actor_id.iter().chain(&row.user_ids) {
            left_out.entry(user_id).or_default().insert(place);
        }
    }
    let mut alike = BTreeMap::<_, Vec<Uuid>>::new();
    for (&user_id, left_out) in &left_out {
        let mut included = (0..rows.len()).filter(|place| !left_out.contains(place));
        if let Some(first) = included.next() {
            let (last, more) = included.fold((first, 0), |(_, more), place| (place, more + 1));
            let recipients = alike.entry((last, 1 + more)).or_default();
            recipients.push(user_id);
        }
    }
    let row = |last: usize, events: usize| PlanRow {
        events,
        actor_id: None,
        ..rows[last].clone()
    };
    let everyone_else = PlanRow {
        user_ids: left_out.into_keys().collect(),
        ..row(rows.len() - 1, rows.len())
    };
    alike
        .into_iter()
        .map(|((last, events), user_ids)| PlanRow {
            audience: PlanRow::THREAD_AMONG,
            user_ids,
            ..row(last, events)
        })
        .chain([everyone_else])
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECIPIENTS: u128 = 5;

    /// One message: who sent it, and who has a separate plan for it.
    fn message(place: usize, sender: u128, except: &[u128]) -> PlanRow<'static> {
        let event_id = i64::try_from(place).expect("few") * 10;
        PlanRow {
            event_id,
            events: 1,
            actor_id: Some(Uuid::from_u128(sender)),
            audience: PlanRow::THREAD,
            user_ids: except.iter().copied().map(Uuid::from_u128).collect(),
            thread_id: Some(Uuid::from_u128(100)),
            coalesce_key: Some("thread_activity:100"),
            ..PlanRow::default()
        }
    }

    /// What a recipient is notified of: how many events, and the newest.
    fn notified(rows: &[PlanRow<'_>], recipient: u128) -> Option<(usize, i64)> {
        let recipient = Uuid::from_u128(recipient);
        let mine: Vec<_> = rows
            .iter()
            .filter(|row| row.actor_id != Some(recipient))
            .filter(|row| row.user_ids.contains(&recipient) == (row.audience == "thread_among"))
            .collect();
        Some((
            mine.iter().map(|row| row.events).sum(),
            mine.iter().map(|row| row.event_id).max()?,
        ))
    }

    #[test]
    fn recipients_of_the_same_events_share_a_plan() {
        let rows = (0..4).map(|place| message(place, 1 + place as u128, &[]));
        let coalesced = coalesce(rows.collect(), Vec::new());
        let shape: Vec<_> = coalesced
            .iter()
            .map(|row| (row.event_id, row.events, row.audience, row.user_ids.len()))
            .collect();
        // The last sender, the three before, and who wrote nothing.
        assert_eq!(
            shape,
            [
                (20, 3, "thread_among", 1),
                (30, 3, "thread_among", 3),
                (30, 4, "thread", 4),
            ]
        );
    }

    #[test]
    fn events_notified_before_are_not_merged() {
        let rows = coalesce(
            vec![message(0, 1, &[]), message(2, 2, &[])],
            vec![message(1, 3, &[])],
        );
        let mut events: Vec<_> = rows.iter().map(|row| (row.event_id, row.events)).collect();
        events.sort_unstable();
        assert_eq!(events, [(0, 1), (10, 1), (20, 1), (20, 2)]);
    }

    proptest! {
        #[test]
        fn each_recipient_is_notified_of_the_same_events(
            messages in prop::collection::vec(
                (0..RECIPIENTS, prop::collection::vec(0..RECIPIENTS, 0..3)), 0..8),
        ) {
            let rows: Vec<_> = messages
                .iter()
                .enumerate()
                .map(|(place, (sender, except))| message(place, *sender, except))
                .collect();
            let alone = rows.clone();
            let coalesced = coalesce(rows, Vec::new());
            for recipient in 0..=RECIPIENTS {
                prop_assert_eq!(notified(&alone, recipient), notified(&coalesced, recipient), "recipient {}", recipient);
                let plans = coalesced.iter().filter(|row| {
                    row.user_ids.contains(&Uuid::from_u128(recipient)) == (row.audience == "thread_among")
                        && row.actor_id != Some(Uuid::from_u128(recipient))
                });
                prop_assert!(plans.count() <= 1);
            }
        }
    }
}
