//! Checks the columns of the application's tables.

use super::{Finding, Findings, required_privileges};
use crate::db::contract::{listed, violations, ways_out};
use crate::db::{Transaction, Unnamed};

/// Columns of another type than the job reads. Those that are missing are named with the tables.
pub(super) async fn types(transaction: &mut Transaction<'_>) -> Findings {
    let other: Vec<_> = violations(transaction)
        .await?
        .into_iter()
        .filter(|violation| violation.found.is_some())
        .collect();
    Ok(if other.is_empty() {
        Vec::new()
    } else {
        vec![Finding::problem(
            "columns",
            listed(&other),
            ways_out(&other),
        )]
    })
}

/// Columns without which the database refuses each row of the job's.
pub(super) async fn required(transaction: &mut Transaction<'_>) -> Findings {
    let tables = [
        ("notifications", "body,link_url"),
        ("pending_emails", "project_id,project_name"),
    ];
    let written = |table: &str| {
        let mut inserts =
            required_privileges::writes().filter(|required| required.privilege == "INSERT");
        let insert = inserts.find(|required| required.relation == table);
        insert.map_or_else(String::new, |insert| insert.columns.join(","))
    };
    let columns: Vec<(String, String, bool)> = sqlx::query_as(include_str!("required.sql"))
        .bind(tables.map(|(table, _)| table))
        .bind(tables.map(|(table, _)| written(table)))
        .bind(tables.map(|(_, nullable)| nullable))
        .fetch_all(Unnamed(transaction))
        .await?;
    Ok(columns
        .into_iter()
        .map(|(table, name, is_unknown)| {
            let drop = format!("ALTER TABLE {table} ALTER {name} DROP NOT NULL");
            if is_unknown {
                Finding::problem(
                    "columns",
                    format!("{table}.{name} is NOT NULL without a default, and the job does not write it: every event fails"),
                    format!("give it a default, or: {drop}"),
                )
            } else {
                Finding::warn(
                    "columns",
                    format!("{table}.{name} is NOT NULL: events that have none fail"),
                    drop,
                )
            }
        })
        .collect())
}
