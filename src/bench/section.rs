//! The part of the result that one measurement gives.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

/// A table for people, and the same for machines.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) table: Table,
    pub(crate) note: String,
    pub(crate) json: Value,
}

impl Section {
    pub(crate) fn print(&self) {
        println!("\n## {}\n\n{}\n\n{}", self.title, self.table, self.note);
    }
}

/// A table that is Markdown too; all columns but the first are for numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A count that is far from where floating point ends.
pub(crate) fn small(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}
