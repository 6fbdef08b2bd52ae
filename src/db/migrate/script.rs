//! What a migration would run, as a script for a person.

use std::fmt::Write as _;

use super::{COMMENTS, MIGRATOR, MigrationFailed, Pending, TABLE, label, made, pending, settings};
use crate::db::{Session, online};

/// The SQL that a migration would run on this database, in order.
pub async fn script(session: &mut Session) -> Result<String, MigrationFailed> {
    let Pending {
        migrations: due,
        objects,
        ..
    } = pending(session).await?;
    let mut script = format!("BEGIN;\n{};\n", settings());
    if !due.is_empty() {
        let _ = writeln!(script, "{};\n{BOOKKEEPING};", made::before());
        for migration in MIGRATOR.iter().filter(|known| due.contains(&label(known))) {
            let checksum = hex(&migration.checksum);
            let _ = writeln!(
                script,
                "\n-- {}\n{}\nINSERT INTO {TABLE} (version, description, success, checksum, execution_time)\n\
                 VALUES ({}, '{}', true, '\\x{checksum}', 0);",
                label(migration),
                migration.sql.as_str(),
                migration.version,
                migration.description,
            );
        }
        let _ = writeln!(script, "\n{COMMENTS}\n{};", made::after());
    }
    for object in objects {
        let _ = writeln!(script, "\n-- {}", object.label);
        for statement in object.statements {
            let _ = writeln!(script, "{statement};");
        }
    }
    let online = online::script(session).await?;
    let _ = writeln!(script, "COMMIT;\n\n-- Outside of a transaction:\n{online}");
    Ok(script)
}

/// The table that the migrator makes for itself.
const BOOKKEEPING: &str = "CREATE TABLE IF NOT EXISTS notify_fan_out_migrations (
    version bigint PRIMARY KEY,
    description text NOT NULL,
    installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
)";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
