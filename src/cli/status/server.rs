//! The server: what keeps vacuum from its work, and the tables.

use super::page::Page;
use crate::cli::human::{count, counted, time};
use crate::ops::status::{Holder, HolderKind, Table, Vacuum};

/// A transaction older than this is reported.
const LONG_SECONDS: f64 = 300.0;
/// So is a replication slot that is this many transactions behind.
const FAR_BEHIND_TRANSACTIONS: i64 = 1_000_000;
/// Dead rows that autovacuum leaves alone anyway.
const FEW_DEAD_ROWS: u64 = 50_000;

impl Page {
    pub(super) fn vacuum(&mut self, vacuum: &Vacuum) {
        let style = self.style;
        let hidden = match vacuum.hidden_sessions_count {
            0 => String::new(),
            1 => style.dim(" (1 session hidden from this role)"),
            more => style.dim(&format!(
                " ({} sessions hidden from this role)",
                count(more)
            )),
        };
        let worst = vacuum.held_back_by.iter().find(|holder| {
            holder.age_seconds.map_or(
                holder.age_transactions_count >= FAR_BEHIND_TRANSACTIONS,
                |age| age >= LONG_SECONDS,
            )
        });
        let Some(holder) = worst else {
            let oldest = vacuum
                .held_back_by
                .iter()
                .filter_map(|holder| holder.age_seconds)
                .reduce(f64::max);
            let text = match oldest {
                Some(age) => format!(
                    "not held back for long: the oldest transaction is {} old",
                    time(age)
                ),
                None => "not held back".to_owned(),
            };
            self.line("Vacuum", &format!("{text}{hidden}"));
            return;
        };
        let (what, remedy) = describe(holder);
        self.line("Vacuum", &format!("{}{hidden}", style.bad(&what)));
        self.hint(&remedy);
    }

    pub(super) fn tables(&mut self, tables: &[Table]) {
        let style = self.style;
        let width = tables
            .iter()
            .map(|table| table.name.len())
            .max()
            .unwrap_or(0);
        let heading = format!(
            "{:<width$}  {:>13}  {:>11}  last autovacuum",
            "", "rows (about)", "dead"
        );
        self.line("Tables", &style.dim(&heading));
        let mut neglected = Vec::new();
        for table in tables {
            let rows = table
                .estimated_rows_count
                .map_or_else(|| "unknown".to_owned(), count);
            let vacuumed = match (
                table.last_autovacuum_age_seconds,
                table.last_vacuum_age_seconds,
            ) {
                (Some(age), _) => format!("{} ago", time(age)),
                (None, Some(age)) => format!("never; manually {} ago", time(age)),
                (None, None) => "never".to_owned(),
            };
            let text = format!(
                "{:<width$}  {rows:>13}  {:>11}  {vacuumed}",
                table.name,
                count(table.dead_rows_count)
            );
            // Autovacuum's own threshold, doubled.
            let is_neglected = table.dead_rows_count > FEW_DEAD_ROWS
                && table.dead_rows_count > table.estimated_rows_count.unwrap_or(0) / 5 * 2;
            if is_neglected {
                neglected.push(table.name.as_str());
                self.line("", &style.warn(&text));
            } else {
                self.line("", &text);
            }
        }
        if !neglected.is_empty() {
            self.hint(&format!(
                "autovacuum does not keep up: VACUUM (ANALYZE) {};",
                neglected.join(", ")
            ));
        }
    }
}

pub(super) fn describe(holder: &Holder) -> (String, String) {
    let age = holder
        .age_seconds
        .map_or_else(String::new, |age| format!(" for {}", time(age)));
    let behind = counted(
        holder.age_transactions_count.unsigned_abs(),
        "transaction",
        "transactions",
    );
    match holder.kind {
        HolderKind::Session => {
            let pid = holder.pid.unwrap_or_default();
            let state = holder
                .state
                .as_deref()
                .map_or_else(String::new, |state| format!(", {state}"));
            (
                format!("held back{age} by process {pid} ({}{state})", holder.name),
                format!("if it is forgotten, end it: SELECT pg_terminate_backend({pid});"),
            )
        }
        HolderKind::PreparedTransaction => (
            format!("held back{age} by the prepared transaction {}", holder.name),
            format!(
                "COMMIT PREPARED or ROLLBACK PREPARED '{}';",
                holder.name.replace('\'', "''")
            ),
        ),
        HolderKind::ReplicationSlot => {
            let state = holder.state.as_deref().unwrap_or("inactive");
            (
                format!(
                    "held back by the replication slot {} ({state}), {behind} behind",
                    holder.name
                ),
                format!(
                    "bring its subscriber back, or give it up: SELECT pg_drop_replication_slot('{}');",
                    holder.name.replace('\'', "''"),
                ),
            )
        }
    }
}
