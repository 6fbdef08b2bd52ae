//! The privileges that the jobs' statements require. `scripts/grants.sql` has the only list of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::db::contract::COLUMNS;

const GRANTS: &str = include_str!("../../../scripts/grants.sql");

/// One privilege on one column.
#[derive(Debug)]
pub(super) struct Required {
    pub(super) relation: &'static str,
    pub(super) privilege: &'static str,
    pub(super) column: &'static str,
    /// Whether a role that only reads can do without it.
    pub(super) is_write: bool,
}

/// What run, deliver, retry and status require.
pub(super) static REQUIRED: LazyLock<Vec<Required>> = LazyLock::new(|| {
    let mut required = Vec::new();
    for [relation, privilege, columns, purpose] in rows() {
        if matches!(purpose, "reads" | "runs") {
            let columns = columns.split([',', ' ', '\n', '*']);
            let columns = columns.filter(|column| !column.is_empty());
            required.extend(columns.map(|column| Required {
                relation,
                privilege,
                column,
                is_write: purpose == "runs",
            }));
        }
    }
    // The contract says what is read of the application's other tables. Only our own `can_view` reads
    // `permissions`.
    let listed: BTreeSet<_> = required.iter().map(|one| one.relation).collect();
    let others = COLUMNS
        .iter()
        .filter(|column| column.relation != "permissions" && !listed.contains(column.relation));
    required.extend(others.map(|column| Required {
        relation: column.relation,
        privilege: "SELECT",
        column: column.name,
        is_write: false,
    }));
    required
});

/// The list's rows: its quoted strings, four by four.
fn rows() -> Vec<[&'static str; 4]> {
    let list = GRANTS.split("-- required privileges:").nth(1);
    let quoted = list.unwrap_or_default().split('\'').skip(1).step_by(2);
    let strings: Vec<_> = quoted.collect();
    strings.as_chunks().0.to_vec()
}

/// One property of all of them, in the same order.
pub(super) fn each(property: fn(&Required) -> &'static str) -> Vec<String> {
    let properties = REQUIRED.iter().map(property);
    properties.map(str::to_owned).collect()
}

/// All relations that are read.
pub(super) fn relations() -> Vec<String> {
    let relations: BTreeSet<_> = each(|required| required.relation).into_iter().collect();
    relations.into_iter().collect()
}

/// How many privileges on relations a role that only reads can do without.
pub(super) fn writes_count() -> usize {
    let writes = REQUIRED.iter().filter(|required| required.is_write);
    let writes: BTreeSet<_> = writes.map(|one| (one.relation, one.privilege)).collect();
    writes.len()
}
