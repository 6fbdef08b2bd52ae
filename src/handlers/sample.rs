//! The test world of `seed/world.sql`, as far as samples refer to it.

use std::collections::HashMap;

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use super::{Names, Profile, Rendering};
use crate::domain::event::EventRow;

pub(super) const ADA: Uuid = id(1, 1);
pub(super) const BRUNO: Uuid = id(1, 2);
pub(super) const CHIARA: Uuid = id(1, 3);
pub(super) const DEV: Uuid = id(1, 4);
pub(super) const ELIF: Uuid = id(1, 5);
pub(super) const FARID: Uuid = id(1, 6);
pub(super) const GRACE: Uuid = id(1, 7);
pub(super) const HUGO: Uuid = id(1, 8);
pub(super) const HARBOR: Uuid = id(2, 1);
pub(super) const NORTHWIND: Uuid = id(2, 2);
pub(crate) const QUAYSIDE: Uuid = id(3, 1);
pub(super) const MILL_STREET: Uuid = id(3, 2);
pub(super) const APPRAISAL: Uuid = id(4, 1);
pub(super) const RENT_ROLL: Uuid = id(4, 2);
pub(super) const CHECKLIST: Uuid = id(5, 1);
pub(super) const KICKOFF: Uuid = id(6, 1);
pub(super) const CHECK_IN: Uuid = id(6, 2);

const fn id(kind: u128, number: u128) -> Uuid {
    Uuid::from_u128(0x5eed_5eed_fa11_4000_8000_0000_0000_0000 + (kind << 64) + number)
}

/// An event with these columns and this payload.
pub(super) fn event<const N: usize>(columns: [Column; N], payload: Value) -> EventRow {
    let mut row = EventRow {
        payload: Some(payload),
        ..EventRow::default()
    };
    for column in columns {
        match column {
            Column::Actor(id) => row.actor_id = Some(id),
            Column::Project(id) => row.project_id = Some(id),
            Column::Org(id) => row.org_id = Some(id),
            Column::Document(id) => row.resource_id = Some(id),
            Column::Thread(id) => row.thread_id = Some(id),
            Column::Meeting(id) => row.meeting_id = Some(id),
        }
    }
    row
}

pub(super) enum Column {
    Actor(Uuid),
    Project(Uuid),
    Org(Uuid),
    Document(Uuid),
    Thread(Uuid),
    Meeting(Uuid),
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
