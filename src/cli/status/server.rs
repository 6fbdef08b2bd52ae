//! The server: the daemons that are connected, what keeps vacuum from its work, and the tables.

use super::{Page, timed};
use crate::cli::human::{count, counted, time};
use crate::ops::status::{Daemon, Holder, HolderKind, Table, Vacuum};

/// A transaction older than this is reported.
const LONG_SECONDS: f64 = 300.0;
/// So is a replication slot that is this many transactions behind.
const FAR_BEHIND_TRANSACTIONS: i64 = 1_000_000;
/// Dead rows that autovacuum leaves alone anyway.
const FEW_DEAD_ROWS: i64 = 50_000;

impl Page {
    pub(super) fn daemons(&mut self, daemons: &[Daemon]) {
        for (place, daemon) in daemons.iter().enumerate() {
            let mode = match daemon.mode.as_deref() {
                Some("listen") => "listens",
                Some("poll") => "polls",
                _ => "starts",
            };
            let since = timed(", connected for ", daemon.connected_age_seconds, "");
            let seen = timed(", last seen ", daemon.seen_age_seconds, " ago");
            let heading = if place == 0 { "Daemons" } else { "" };
            self.line(heading, format!("{} {mode}{since}{seen}", daemon.id));
        }
    }

    pub(super) fn vacuum(&mut self, vacuum: &Vacuum) {
        let hidden = counted(vacuum.hidden_sessions_count, "session", "sessions");
        let hidden = match vacuum.hidden_sessions_count {
            0 => String::new(),
            _ => self
                .style
                .dim(&format!(" ({hidden} hidden from this role)")),
        };
        let is_far_back = |holder: &&Holder| match holder.age_seconds {
            Some(age) => age >= LONG_SECONDS,
            None => holder.age_transactions_count >= FAR_BEHIND_TRANSACTIONS,
        };
        if let Some(holder) = vacuum.held_back_by.iter().find(is_far_back) {
            let (what, remedy) = describe(holder);
            self.line("Vacuum", format!("{}{hidden}", self.style.bad(&what)));
            return self.hint(remedy);
        }
        let ages = vacuum.held_back_by.iter();
        let oldest = ages
            .filter_map(|holder| holder.age_seconds)
            .reduce(f64::max);
        let oldest = timed(" for long: the oldest transaction is ", oldest, " old");
        self.line("Vacuum", format!("not held back{oldest}{hidden}"));
    }

    pub(super) fn tables(&mut self, tables: &[Table]) {
        let widths = tables.iter().map(|table| table.name.len());
        let width = widths.max().unwrap_or(0);
        let line = |name: &str, rows: &str, dead: &str, vacuumed: &str| {
            format!("{name:<width$}  {rows:>13}  {dead:>11}  {vacuumed}")
        };
        let heading = line("", "rows (about)", "dead", "last autovacuum");
        self.line("Tables", self.style.dim(&heading));
        let mut neglected = Vec::new();
        for table in tables {
            let rows = table.estimated_rows_count.map(count);
            let rows = rows.as_deref().unwrap_or("unknown");
            let vacuumed = if let Some(age) = table.last_autovacuum_age_seconds {
                format!("{} ago", time(age))
            } else {
                let manually = timed("; manually ", table.last_vacuum_age_seconds, " ago");
                format!("never{manually}")
            };
            let text = line(&table.name, rows, &count(table.dead_rows_count), &vacuumed);
            // Autovacuum's own threshold, doubled.
            let is_neglected = table.dead_rows_count > FEW_DEAD_ROWS
                && table.dead_rows_count > table.estimated_rows_count.unwrap_or(0) / 5 * 2;
            if is_neglected {
                neglected.push(table.name.as_str());
                self.more(self.style.warn(&text));
            } else {
                self.more(text);
            }
        }
        if !neglected.is_empty() {
            let neglected = neglected.join(", ");
            self.hint(format!(
                "autovacuum does not keep up: VACUUM (ANALYZE) {neglected};"
            ));
        }
    }
}

/// What holds vacuum back, and what to do about it.
pub(super) fn describe(holder: &Holder) -> (String, String) {
    let name = &holder.name;
    let literal = name.replace('\'', "''");
    let age = timed(" for ", holder.age_seconds, "");
    let behind = holder.age_transactions_count.unsigned_abs();
    let behind = counted(behind, "transaction", "transactions");
    match holder.kind {
        HolderKind::Session => {
            let pid = holder.pid.unwrap_or_default();
            let state = holder.state.as_ref().map(|state| format!(", {state}"));
            let state = state.unwrap_or_default();
            (
                format!("held back{age} by process {pid} ({name}{state})"),
                format!("if it is forgotten, end it: SELECT pg_terminate_backend({pid});"),
            )
        }
        HolderKind::PreparedTransaction => (
            format!("held back{age} by the prepared transaction {name}"),
            format!("COMMIT PREPARED or ROLLBACK PREPARED '{literal}';"),
        ),
        HolderKind::ReplicationSlot => {
            let state = holder.state.as_deref().unwrap_or("inactive");
            (
                format!("held back by the replication slot {name} ({state}), {behind} behind"),
                format!(
                    "bring its subscriber back, or give it up: SELECT pg_drop_replication_slot('{literal}');"
                ),
            )
        }
    }
}
