//! What a database error means for the work in hand.

use sqlx::Error;

/// What to do about an error. Judged by kind and SQLSTATE (PostgreSQL, Appendix A), never by text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone or could not be had: the work is done again on a new one. The fence
    /// tells whether it had been committed after all.
    Unreachable,
    /// Another transaction was in the way; the same work done again may well succeed.
    Contended,
    /// Another transaction was in the way for as long as was waited for it.
    Blocked,
    /// The database refuses a row: an event's own fault, for good.
    Refused,
    /// Anything else: rights, schema, resources, an error raised by a function of the
    /// application. A later attempt may find it mended.
    Other,
}

impl Fault {
    /// Judges an error.
    #[must_use]
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

fn of_code(code: &str) -> Fault {
    match code {
        // Deadlock, serialization failure; and the two refusals that a transaction on the same
        // rows can bring about between our reading and our writing.
        "40001" | "40P01" | "23503" | "23505" => Fault::Contended,
        // Lock not available.
        "55P03" => Fault::Blocked,
        // Connection exceptions, operator intervention but for cancelled statements, too many
        // connections; authentication that a server restart or a pooler refuses for a while.
        "57P01" | "57P02" | "57P03" | "53300" | "25P03" => Fault::Unreachable,
        _ if code.starts_with("08") => Fault::Unreachable,
        // Data exceptions and violated constraints.
        _ if code.starts_with("22") || code.starts_with("23") => Fault::Refused,
        _ => Fault::Other,
    }
}

/// The SQLSTATE of an error that the database itself raised.
#[must_use]
pub fn sqlstate(error: &Error) -> Option<String> {
    error
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned))
}

/// The error of the TLS library that ended a connection before it was one.
#[must_use]
pub fn tls_error(error: &Error) -> Option<&rustls::Error> {
    match error {
        Error::Io(error) => error.get_ref()?.downcast_ref(),
        Error::Tls(error) => error.downcast_ref(),
        _ => None,
    }
}
