//! The privileges that the jobs' statements require. `scripts/grants.sql` has the only list of them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::db::contract::{COLUMNS, Column};

const GRANTS: &str = include_str!("../../../scripts/grants.sql");

/// One privilege on one relation.
#[derive(Debug)]
pub(super) struct Required {
    pub(super) relation: &'static str,
    pub(super) privilege: &'static str,
    pub(super) columns: Vec<&'static str>,
    /// Whether a role that only reads can do without it.
    pub(super) is_write: bool,
}

/// What run, deliver, retry and status require, except for what the contract says of the application's
/// tables.
pub(super) static REQUIRED: LazyLock<Vec<Required>> = LazyLock::new(|| {
    let rows = rows().filter(|row| matches!(row[3], "reads" | "runs"));
    let required = rows.map(|[relation, privilege, columns, purpose]| Required {
        relation,
        privilege,
        columns: columns
            .split([',', ' ', '\n', '*'])
            .filter(|column| !column.is_empty())
            .collect(),
        is_write: purpose == "runs",
    });
    required
        .filter(|required| !required.columns.is_empty())
        .collect()
});

/// The list's rows: its quoted strings, four by four.
fn rows() -> impl Iterator<Item = [&'static str; 4]> {
    let list = GRANTS.split("-- required privileges:").nth(1);
    let strings: Vec<_> = list
        .unwrap_or_default()
        .split('\'')
        .skip(1)
        .step_by(2)
        .collect();
    strings.as_chunks().0.to_vec().into_iter()
}

/// What is read of the application's tables. `permissions` is left out, as only our own `can_view`
/// reads it.
fn of_the_application() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| {
        column.relation != "permissions"
            && REQUIRED
                .iter()
                .all(|required| required.relation != column.relation)
    })
}

/// All relations that are read.
pub(super) fn relations() -> Vec<String> {
    let of_the_application = of_the_application().map(|column| column.relation);
    let required = REQUIRED.iter().map(|required| required.relation);
    let relations: BTreeSet<_> = of_the_application.chain(required).collect();
    relations.into_iter().map(str::to_owned).collect()
}

/// The privileges that a role which only reads can do without.
pub(super) fn writes() -> impl Iterator<Item = &'static Required> {
    REQUIRED.iter().filter(|required| required.is_write)
}

/// The privileges column by column, as lists of equal length.
#[derive(Debug, Default)]
pub(super) struct Privileges {
    pub(super) relations: Vec<String>,
    pub(super) kinds: Vec<String>,
    pub(super) columns: Vec<String>,
    pub(super) are_writes: Vec<bool>,
}

pub(super) fn by_column() -> Privileges {
    let mut all = Privileges::default();
    let mut add = |relation: &str, privilege: &str, column: &str, is_write| {
        all.relations.push(relation.to_owned());
        all.kinds.push(privilege.to_owned());
        all.columns.push(column.to_owned());
        all.are_writes.push(is_write);
    };
    for column in of_the_application() {
        add(column.relation, "SELECT", column.name, false);
    }
    for required in &*REQUIRED {
        for column in &required.columns {
            add(
                required.relation,
                required.privilege,
                column,
                required.is_write,
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_sql_is_read_whole() {
        let purposes = [
            "reads",
            "runs",
            "prunes",
            "prunes events",
            "unsubscribes",
            "keeps endpoints",
        ];
        for [relation, privilege, columns, purpose] in rows() {
            assert!(
                ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&privilege),
                "{relation} {privilege}"
            );
            assert!(purposes.contains(&purpose), "{relation} {purpose}");
            assert!(
                columns.split(", ").flat_map(str::chars).all(|c| {
                    c.is_ascii_lowercase() || c.is_ascii_whitespace() || "_*,".contains(c)
                }),
                "{relation} {columns}"
            );
        }
        let last = rows().last().map(|row| row[3]);
        assert_eq!(last, Some("keeps endpoints"));
    }

    #[test]
    fn each_table_of_the_application_is_granted() {
        for column in COLUMNS {
            assert!(
                rows().any(|[relation, privilege, columns, _]| {
                    relation == column.relation
                        && privilege == "SELECT"
                        && (columns.starts_with('*')
                            || columns
                                .split([',', ' ', '\n'])
                                .any(|name| name == column.name))
                }),
                "{}.{}",
                column.relation,
                column.name
            );
        }
    }
}
