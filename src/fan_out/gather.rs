//! Gathering what a batch says of the same thread, so that each reader is looked up and written
//! once for all of it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::resolve::PlanRow;

/// Turns plans of one event each, in the order of their events, into plans of several: readers who
/// are told of the same under the same key share one.
///
/// Each reader is told what he would be told if each plan were carried out alone. That takes that
/// nobody was notified of these events before; the `others` stay as they are.
pub(super) fn gather<'a>(fresh: Vec<PlanRow<'a>>, others: Vec<PlanRow<'a>>) -> Vec<PlanRow<'a>> {
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
        let mut told = (0..rows.len()).filter(|place| !left_out.contains(place));
        if let Some(first) = told.next() {
            let (last, more) = told.fold((first, 0), |(_, more), place| (place, more + 1));
            let readers = alike.entry((last, 1 + more)).or_default();
            readers.push(user_id);
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

    const READERS: u128 = 5;

    /// One message: who sent it, and who has a plan of his own for it.
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

    /// What the rows tell a participant: how many events, and the newest.
    fn told(rows: &[PlanRow<'_>], reader: u128) -> Option<(usize, i64)> {
        let reader = Uuid::from_u128(reader);
        let mine: Vec<_> = rows
            .iter()
            .filter(|row| row.actor_id != Some(reader))
            .filter(|row| row.user_ids.contains(&reader) == (row.audience == "thread_among"))
            .collect();
        Some((
            mine.iter().map(|row| row.events).sum(),
            mine.iter().map(|row| row.event_id).max()?,
        ))
    }

    #[test]
    fn readers_who_are_told_the_same_share_a_plan() {
        let rows = (0..4).map(|place| message(place, 1 + place as u128, &[]));
        let gathered = gather(rows.collect(), Vec::new());
        let shape: Vec<_> = gathered
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
    fn what_somebody_was_told_before_stands_alone() {
        let rows = gather(
            vec![message(0, 1, &[]), message(2, 2, &[])],
            vec![message(1, 3, &[])],
        );
        let mut events: Vec<_> = rows.iter().map(|row| (row.event_id, row.events)).collect();
        events.sort_unstable();
        assert_eq!(events, [(0, 1), (10, 1), (20, 1), (20, 2)]);
    }

    proptest! {
        #[test]
        fn each_reader_is_told_the_same(
            messages in prop::collection::vec(
                (0..READERS, prop::collection::vec(0..READERS, 0..3)), 0..8),
        ) {
            let rows: Vec<_> = messages
                .iter()
                .enumerate()
                .map(|(place, (sender, except))| message(place, *sender, except))
                .collect();
            let alone = rows.clone();
            let gathered = gather(rows, Vec::new());
            for reader in 0..=READERS {
                prop_assert_eq!(told(&alone, reader), told(&gathered, reader), "reader {}", reader);
                let plans = gathered.iter().filter(|row| {
                    row.user_ids.contains(&Uuid::from_u128(reader)) == (row.audience == "thread_among")
                        && row.actor_id != Some(Uuid::from_u128(reader))
                });
                prop_assert!(plans.count() <= 1);
            }
        }
    }
}
