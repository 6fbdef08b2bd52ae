//! The connection to PostgreSQL: connecting, the settings of each transaction, error classes, migrations.

pub mod contract;
mod deadline;
mod error_class;
mod listener;
pub mod migrate;
mod objects;
mod online;
mod transaction;
mod unnamed;
mod url;
mod watch;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};

pub use error_class::{ErrorClass, said, sqlstate, tls_error};
pub(crate) use listener::Listener;
pub use transaction::Transaction;
pub use unnamed::Unnamed;
pub use url::InvalidUrl;

use deadline::{Deadline, no_answer};
use url::Place;

/// How long a transaction waits for another's lock. Ours are held for milliseconds.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// The same where others wait.
const BRIEF_LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// Settings of a transaction whose statements go by indexes.
const INDEXED: &str = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
                       SET LOCAL enable_mergejoin = off";

/// How long the server is given to answer the end of a connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads and writes, each statement on what is committed when it starts.
    ReadWrite,
    /// The same for what others wait for: it waits for no lock for long.
    Brief,
    /// One snapshot throughout; the database itself refuses a write.
    ReadOnly,
}

/// Where the database is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Database {
    options: PgConnectOptions,
    connect_timeout: Duration,
    deadline: Deadline,
}

impl Database {
    /// Reads a connection URL. The error repeats nothing of the URL, which holds a password.
    pub fn new(url: &SecretString, statement_timeout: Duration) -> Result<Self, InvalidUrl> {
        let place = Place::parse(url.expose_secret())?;
        let options = place
            .options
            // PgBouncer refuses start-up parameters that it does not know.
            .extra_float_digits(None)
            .disable_statement_logging();
        Ok(Self {
            options,
            connect_timeout: place.connect_timeout,
            deadline: Deadline::new(statement_timeout),
        })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Session, sqlx::Error> {
        let (connection, _) = self.open_in_time().await?;
        Ok(Session {
            connection,
            database: self.clone(),
            keeps_statements: false,
        })
    }

    /// Also returns the options that it was opened by.
    async fn open_in_time(&self) -> Result<(PgConnection, PgConnectOptions), sqlx::Error> {
        tokio::time::timeout(self.connect_timeout, self.open())
            .await
            .map_err(|_| no_answer(&self.address(), self.connect_timeout))?
    }

    /// `sslmode=prefer`, which is the default, takes a connection without TLS where there is none with
    /// it, as libpq does.
    async fn open(&self) -> Result<(PgConnection, PgConnectOptions), sqlx::Error> {
        match PgConnection::connect_with(&self.options).await {
            Err(error) if self.prefers_tls() && tls_error(&error).is_some() => {
                tracing::warn!("connecting without TLS, as sslmode=prefer allows: {error}");
                let options = self.options.clone().ssl_mode(PgSslMode::Disable);
                Ok((PgConnection::connect_with(&options).await?, options))
            }
            result => Ok((result?, self.options.clone())),
        }
    }

    fn prefers_tls(&self) -> bool {
        matches!(self.options.get_ssl_mode(), PgSslMode::Prefer)
    }

    /// Host and database, for messages; no user, no password.
    pub fn describe(&self) -> String {
        let database = self.options.get_database().unwrap_or_default();
        format!("{}/{database}", self.address())
    }

    fn address(&self) -> String {
        let host = self.options.get_socket().map_or_else(
            || self.options.get_host().to_owned(),
            |path| path.display().to_string(),
        );
        format!("{host}:{}", self.options.get_port())
    }
}

/// What the server takes as a `statement_timeout`: 0 would be none at all, more than this an error.
fn statement_timeout_ms(timeout: Duration) -> u128 {
    timeout.as_millis().clamp(1, i32::MAX.unsigned_abs().into())
}

/// One open connection.
#[derive(Debug)]
pub struct Session {
    connection: PgConnection,
    database: Database,
    keeps_statements: bool,
}

impl Session {
    /// Whether the statements of [`begin_indexed`](Self::begin_indexed) are planned once for the connection and
    /// not for the values at hand: for few rows, planning takes longer than running. The connection has to lead to
    /// the same server process at all times.
    pub(crate) fn keep_statements(&mut self, keep: bool) {
        self.keeps_statements = keep;
    }

    /// Starts a transaction, in one round trip with the settings it needs.
    ///
    /// Every statement of the service runs in one: behind a pooler in transaction mode nothing
    /// else is sure to reach the same server twice, and settings of a session don't last.
    pub async fn begin(&mut self, access: Access) -> Result<Transaction<'_>, sqlx::Error> {
        self.begin_with(access, "").await
    }

    /// As [`begin`](Self::begin), for statements that work on a batch: whatever the planner thinks
    /// of the tables, it goes by their indexes and never reads a whole one.
    ///
    /// It can't know how large a batch is, nor what is due, and its statistics lag behind a queue.
    /// On small tables it would rather read and hash all of it, on grown ones that it takes for
    /// small still so: the cost would follow the tables and not the work.
    pub async fn begin_indexed(&mut self, access: Access) -> Result<Transaction<'_>, sqlx::Error> {
        if !self.keeps_statements {
            return self.begin_with(access, INDEXED).await;
        }
        let settings = format!("{INDEXED}; SET LOCAL plan_cache_mode = force_generic_plan");
        let mut transaction = self.begin_with(access, &settings).await?;
        transaction.keeps_statements = true;
        Ok(transaction)
    }

    async fn begin_with(
        &mut self,
        access: Access,
        settings: &str,
    ) -> Result<Transaction<'_>, sqlx::Error> {
        let mode = match access {
            Access::ReadWrite | Access::Brief => "ISOLATION LEVEL READ COMMITTED, READ WRITE",
            Access::ReadOnly => "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        let lock_timeout = match access {
            Access::Brief => BRIEF_LOCK_TIMEOUT,
            _ => LOCK_TIMEOUT,
        };
        // Compiling a plan costs more than any of these statements runs.
        let begin = format!(
            "BEGIN {mode}; SET LOCAL jit = off; SET LOCAL lock_timeout = {}; \
             SET LOCAL statement_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = '60s'{settings}",
            lock_timeout.as_millis(),
            statement_timeout_ms(self.database.deadline.statement_timeout),
        );
        Transaction::begin(self, AssertSqlSafe(begin)).await
    }

    /// Sends a notification, outside of transactions.
    async fn notify(&mut self, channel: &str, payload: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin(Access::ReadWrite).await?;
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(channel)
            .bind(payload)
            .execute(Unnamed(&mut transaction))
            .await?;
        transaction.commit().await
    }

    /// Ends the listening of a session that a pooler keeps, while nobody uses it: it would pass notifications to
    /// clients that do not expect any.
    async fn end_listening(&mut self, pid: i32) -> Result<(), sqlx::Error> {
        for _ in 0..20 {
            let mut transaction = self.begin(Access::ReadWrite).await?;
            let (is_own, is_ended): (bool, bool) = sqlx::query_as(
                "SELECT $1 = pg_backend_pid(),
                        coalesce((SELECT state = 'idle' AND pg_terminate_backend(pid)
                                    FROM pg_stat_activity WHERE pid = $1), true)",
            )
            .bind(pid)
            .fetch_one(Unnamed(&mut transaction))
            .await?;
            if is_own {
                transaction.command("UNLISTEN *").await?;
            }
            transaction.commit().await?;
            if is_own || is_ended {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Whether the server answers within this time: a connection that was idle may have been dropped silently.
    pub(crate) async fn answers(&mut self, within: Duration) -> bool {
        let ping = tokio::time::timeout(within, self.connection.ping());
        matches!(ping.await, Ok(Ok(())))
    }

    /// Ends the connection. The work is done: a server that is silent by now is no error.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        tokio::time::timeout(GOODBYE, self.connection.close())
            .await
            .unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(url: &str) -> Result<Database, InvalidUrl> {
        Database::new(&SecretString::from(url.to_owned()), Duration::from_mins(1))
    }

    #[test]
    fn urls_are_decoded() {
        for (url, place) in [
            (
                "postgres://me:a%2Fb%3Fc%23d%40e@host:5433/db",
                "host:5433/db",
            ),
            ("postgres://me:a@b@host/db?sslmode=require", "host:5432/db"),
            (
                "postgres://me@localhost/db?host=%2Ftmp%2Fpg",
                "/tmp/pg:5432/db",
            ),
            ("postgres://me@localhost/db?host=@socket", "@socket:5432/db"),
        ] {
            let described = database(url).map(|database| database.describe());
            assert_eq!(described.as_deref(), Ok(place), "{url}");
        }
    }

    #[test]
    fn a_timeout_that_the_server_takes() {
        let ms = |timeout| statement_timeout_ms(timeout);
        assert_eq!(ms(Duration::from_micros(5)), 1);
        assert_eq!(ms(Duration::from_mins(1)), 60_000);
        assert_eq!(ms(Duration::from_hours(30 * 24)), 2_147_483_647);
    }
}
