//! The test world of `seed/world.sql`, as far as samples refer to it.

use std::collections::HashMap;

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use super::{Names, Profile, Rendering};
use crate::domain::event::EventRow;

/// Declares rows by the column of an event that refers to them.
macro_rules! rows {
    ($($column:ident $kind:literal: $($name:ident $number:literal),+;)+) => {
        $($(pub(crate) const $name: Uuid = id($kind, $number);)+)+

        /// The rows with their names, so that tests can show these.
        #[cfg(test)]
        pub(super) const NAMED: &[(Uuid, &str)] = &[$($(($name, stringify!($name))),+),+];

        /// An event that refers to these rows; a person is its actor.
        pub(super) fn event<const N: usize>(rows: [Uuid; N], payload: Value) -> EventRow {
            let mut event = EventRow {
                payload: Some(payload),
                ..EventRow::default()
            };
            for row in rows {
                $(
                    if [$($name),+].contains(&row) {
                        event.$column = Some(row);
                    }
                )+
            }
            event
        }
    };
}

rows! {
    actor_id 1: ADA 1, BRUNO 2, CHIARA 3, DEV 4, ELIF 5, FARID 6, GRACE 7, HUGO 8;
    org_id 2: HARBOR 1, NORTHWIND 2;
    project_id 3: QUAYSIDE 1, MILL_STREET 2;
    resource_id 4: APPRAISAL 1, RENT_ROLL 2;
    thread_id 5: CHECKLIST 1;
    meeting_id 6: KICKOFF 1, CHECK_IN 2;
}

const fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(0x5eed_5eed_fa11_4000_8000_0000_0000_0000 + (kind << 64) + number)
}

/// The names of the test world.
pub(crate) fn names(rendering: Rendering) -> Names {
    let person = |id, name: &str, email: &str| {
        let full_name = Some(name.to_owned());
        let email = Some(email.to_owned());
        (id, Profile { full_name, email })
    };
    let named = |rows: &[(Uuid, &str)]| {
        let rows = rows.iter().map(|&(id, name)| (id, name.to_owned()));
        rows.collect::<HashMap<_, _>>()
    };
    let thursday = DateTime::from_timestamp(1_894_872_600, 0).unwrap_or_default();
    Names {
        people: [
            person(ADA, "Ada Okafor", "ada@example.com"),
            person(BRUNO, "Bruno Keller", "bruno@example.com"),
            person(CHIARA, "Chiara Rossi", "chiara@example.com"),
        ]
        .into(),
        projects: named(&[
            (QUAYSIDE, "Quayside Lofts"),
            (MILL_STREET, "Mill Street Refinancing"),
        ]),
        orgs: named(&[(HARBOR, "Harbor Homes"), (NORTHWIND, "Northwind Lending")]),
        resources: named(&[
            (APPRAISAL, "Appraisal report.pdf"),
            (RENT_ROLL, "Rent roll.xlsx"),
        ]),
        threads: named(&[(CHECKLIST, "Closing checklist")]),
        meetings: named(&[
            (KICKOFF, "Kick-off with the lender"),
            (CHECK_IN, "Weekly check-in"),
        ]),
        meeting_times: [(KICKOFF, thursday), (CHECK_IN, thursday)].into(),
        rendering,
    }
}
