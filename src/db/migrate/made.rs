//! The record of what the migrations made here, so that it can be taken out again.

use crate::db::{Transaction, Unnamed};

pub(super) const TABLE: &str = "notify_fan_out_made";
const CATALOGUE: &str = include_str!("catalogue.sql");
const RECORD: &str = include_str!("record.sql");

/// Notes what is there before the migrations.
pub(super) fn before() -> String {
    format!(
        "SELECT set_config('notify_fan_out.before', coalesce((
    SELECT jsonb_agg(jsonb_build_object('step', step, 'what', what, 'make', make)) FROM ({CATALOGUE}) AS c
), '[]')::text, true)"
    )
}

/// Records what was added since then, and what was taken away.
pub(super) fn after() -> String {
    RECORD.replace("{catalogue}", CATALOGUE)
}

/// Records an index that is to be built. Its place is that of its table.
pub(in crate::db) fn record(index: &str, table: &str) -> String {
    format!(
        "INSERT INTO notify_fan_out_made (step, what, undo)
SELECT 4, 'index ' || place.name, 'DROP INDEX IF EXISTS ' || place.name
  FROM pg_class c
 CROSS JOIN LATERAL (SELECT format('%I.%I', c.relnamespace::regnamespace::name, '{index}')) AS place (name)
 WHERE c.oid = to_regclass('{table}')
ON CONFLICT (what) DO NOTHING"
    )
}

/// A thing that was made, and what takes it out.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) what: String,
    pub(super) undo: String,
}

/// All of them, in the order in which they are taken out.
pub(super) async fn undo(transaction: &mut Transaction<'_>) -> Result<Vec<Made>, sqlx::Error> {
    sqlx::query_as!(
        Made,
        "SELECT what, undo FROM notify_fan_out_made ORDER BY step, id"
    )
    .fetch_all(Unnamed(transaction))
    .await
}
