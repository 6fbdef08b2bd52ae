//! What becomes of an event that the database would not take.

use crate::db::{Fault, sqlstate};

/// How an event that the database would not take is settled.
pub(super) struct Refusal {
    /// Whether there is another attempt.
    pub(super) is_retried: bool,
    /// The database's words left out: they may repeat a value of the row.
    pub(super) for_log: String,
    /// With its words.
    pub(super) for_table: String,
}

impl Refusal {
    pub(super) fn of(error: &sqlx::Error, attempt: u32, max_attempts: u32) -> Self {
        let code = sqlstate(error);
        let permanent = match Fault::of(error) {
            Fault::Refused => true,
            Fault::Contended => code.as_ref().is_some_and(|code| code.starts_with("23")),
            Fault::Unreachable | Fault::Blocked | Fault::Other => false,
        };
        let spent = attempt >= max_attempts;
        let code = code.map_or_else(
            || "no SQLSTATE".to_owned(),
            |code| format!("SQLSTATE {code}"),
        );
        let for_log = if spent && !permanent {
            format!("out of attempts: database refused: {code}")
        } else {
            format!("database refused: {code}")
        };
        let message = error
            .as_database_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned());
        Self {
            is_retried: !permanent && !spent,
            for_table: format!("{for_log}: {message}"),
            for_log,
        }
    }
}
