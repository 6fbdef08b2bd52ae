//! Checks the columns of the application's tables.

use super::required_privileges::REQUIRED;
use super::{Finding, Findings};
use crate::db::contract::{listed, violations, ways_out};
use crate::db::{Transaction, Unnamed};

/// Columns of another type than the job reads. Those that are missing are named with the tables.
pub(super) async fn types(transaction: &mut Transaction<'_>) -> Findings {
    let mut other = violations(transaction).await?;
    other.retain(|violation| violation.found.is_some());
    Ok(if other.is_empty() {
        Vec::new()
    } else {
        vec![Finding::problem(listed(&other), ways_out(&other))]
    })
}

/// Columns without which the database refuses each row of the job's.
pub(super) async fn required(transaction: &mut Transaction<'_>) -> Findings {
    let tables = [
        ("notifications", "body,link_url"),
        ("pending_emails", "project_id,project_name"),
    ];
    let written = |table: &str| {
        let inserts = REQUIRED
            .iter()
            .filter(|required| (required.relation, required.privilege) == (table, "INSERT"));
        let columns: Vec<_> = inserts.map(|insert| insert.column).collect();
        columns.join(",")
    };
    let columns = sqlx::query_file!(
        "src/ops/doctor/required.sql",
        &tables.map(|(table, _)| table.to_owned()),
        &tables.map(|(table, _)| written(table)),
        &tables.map(|(_, nullable)| nullable.to_owned())
    )
    .fetch_all(Unnamed(transaction))
    .await?;
    let findings = columns.into_iter().map(|column| {
        let (table, name) = (column.relation, column.name);
        let drop = format!("ALTER TABLE {table} ALTER {name} DROP NOT NULL");
        if column.is_unknown {
            Finding::problem(
                format!(
                    "{table}.{name} is NOT NULL without a default, and the job does not write it: every \
                     event fails"
                ),
                format!("give it a default, or: {drop}"),
            )
        } else {
            let found = format!("{table}.{name} is NOT NULL: events that have none fail");
            Finding::warn(found, drop)
        }
    });
    Ok(findings.collect())
}
