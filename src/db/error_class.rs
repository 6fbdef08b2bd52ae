//! Error classes: what a database error means for the work in hand.

use sqlx::Error;

/// What to do about an error. Judged by kind and SQLSTATE (PostgreSQL, Appendix A), never by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The connection is gone or could not be had: the work is done again on a new one. The fence
    /// tells whether it had been committed after all.
    Unreachable,
    /// Another transaction was in the way; the same work done again may well succeed.
    Contended,
    /// Another transaction was in the way for as long as was waited for it.
    Blocked,
    /// The server itself is in trouble (disk, memory, a library, a statement that somebody cancelled):
    /// no event is the cause.
    Server,
    /// The database refuses a row of an event, permanently.
    Refused,
    /// Anything else: rights, schema, an error raised by a function of the application. A later
    /// attempt may succeed.
    Other,
}

impl ErrorClass {
    /// Classifies an error.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::Io(_)
            | Error::Tls(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::Protocol(_)
            | Error::BeginFailed
            | Error::WorkerCrashed => Self::Unreachable,
            Error::Database(refusal) => refusal.code().map_or(Self::Other, |code| of_code(&code)),
            _ => Self::Other,
        }
    }
}

fn of_code(code: &str) -> ErrorClass {
    match code {
        // Deadlock, serialization failure; and the two refusals that a transaction on the same
        // rows can bring about between our reading and our writing.
        "40001" | "40P01" | "23503" | "23505" => ErrorClass::Contended,
        // Lock not available.
        "55P03" => ErrorClass::Blocked,
        // Sessions that the server ended (shutdown, time limits of a session), too many connections.
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25P03" | "25P04" => {
            ErrorClass::Unreachable
        }
        _ if code.starts_with("08") => ErrorClass::Unreachable,
        // Insufficient resources, operator intervention, system errors, internal errors.
        _ if ["53", "57", "58", "XX"].contains(&code.get(..2).unwrap_or_default()) => {
            ErrorClass::Server
        }
        // Data exceptions and violated constraints.
        _ if code.starts_with("22") || code.starts_with("23") => ErrorClass::Refused,
        _ => ErrorClass::Other,
    }
}

/// The SQLSTATE of an error that the database itself raised.
pub fn sqlstate(error: &Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned))
}

/// The error of the TLS library that ended a connection before it was one.
pub fn tls_error(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        Error::Tls(error) => error.downcast_ref(),
        _ => None,
    }
}

/// What the database or the network said, without the place in PostgreSQL's own sources that the
/// driver appends, and without the detail, which may quote rows.
pub fn said(error: &Error) -> String {
    match error {
        Error::Database(refusal) => refusal.message().to_owned(),
        Error::Io(problem) => problem.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_of_each_sqlstate() {
        for (class, codes) in [
            (
                ErrorClass::Unreachable,
                "08006 57P01 57P03 57P05 53300 25P03 25P04",
            ),
            (ErrorClass::Contended, "40001 40P01 23505 23503"),
            (ErrorClass::Blocked, "55P03"),
            (
                ErrorClass::Server,
                "53100 53200 53400 57014 58P01 58030 XX000 XX002",
            ),
            (ErrorClass::Refused, "22012 23514 23502"),
            (ErrorClass::Other, "P0001 42501 42P01 54000 25006"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(of_code(code), class, "{code}");
            }
        }
    }
}
