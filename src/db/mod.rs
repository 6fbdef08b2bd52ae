//! The connection to PostgreSQL: how it is opened, what each transaction starts with, and what
//! its errors mean.

mod fault;
pub mod migrate;
mod online;
mod unnamed;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Transaction};

pub use fault::{Fault, sqlstate};
pub use unnamed::Unnamed;

/// How long to wait for a connection before the database counts as out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a transaction waits for another's lock. Ours are held for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes, each statement on what is committed when it starts.
    ReadWrite,
    /// One snapshot throughout; the database itself refuses a write.
    ReadOnly,
}

/// Where the database is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Database {
    options: PgConnectOptions,
    statement_timeout: Duration,
}

impl Database {
    /// Reads a connection URL. The error repeats nothing of the URL, which holds a password.
    pub fn new(url: &SecretString, statement_timeout: Duration) -> Result<Self, InvalidUrl> {
        let url = url.expose_secret();
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(InvalidUrl);
        }
        let options: PgConnectOptions = url.parse().map_err(|_| InvalidUrl)?;
        let options = options
            .application_name("notify-fan-out")
            // PgBouncer refuses start-up parameters that it does not know.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self {
            options,
            statement_timeout,
        })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Session, sqlx::Error> {
        let connecting = PgConnection::connect_with(&self.options);
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Session {
            connection,
            statement_timeout: self.statement_timeout,
        })
    }

    /// Host and database, for messages; no user, no password.
    #[must_use]
    pub fn describe(&self) -> String {
        let host = self.options.get_socket().map_or_else(
            || self.options.get_host().to_owned(),
            |path| path.display().to_string(),
        );
        let database = self.options.get_database().unwrap_or_default();
        format!("{host}:{}/{database}", self.options.get_port())
    }
}

/// `DATABASE_URL` can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PostgreSQL URL of the form postgres://user:password@host:5432/database")]
pub struct InvalidUrl;

/// One open connection.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    statement_timeout: Duration,
}

impl Session {
    /// Starts a transaction, in one round trip with the settings it needs.
    ///
    /// Every statement of the service runs in one: behind a pooler in transaction mode nothing
    /// else is sure to reach the same server twice, and settings of a session don't last.
    pub async fn begin(
        &mut self,
        access: Access,
    ) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        let mode = match access {
            Access::ReadWrite => "ISOLATION LEVEL READ COMMITTED, READ WRITE",
            Access::ReadOnly => "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        // Compiling a plan costs more than any of these statements runs.
        let begin = format!(
            "BEGIN {mode}; SET LOCAL jit = off; SET LOCAL lock_timeout = {}; \
             SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = '60s'",
            LOCK_TIMEOUT.as_millis(),
            self.statement_timeout.as_millis(),
        );
        self.connection.begin_with(AssertSqlSafe(begin)).await
    }

    /// Says goodbye to the server.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}
