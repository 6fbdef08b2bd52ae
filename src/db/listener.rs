//! A connection for one that waits: it listens for notifications, and asks a question now and then.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgListener, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, SqlSafeStr};

use super::Database;
use super::GOODBYE;
use super::deadline::no_answer;

/// A statement of a waiting process takes milliseconds; a server that says nothing for so long is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A notification that does not arrive within this time never will.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

const IS_READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::boolean";

/// An open connection outside of transactions.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: PgListener,
    place: String,
}

impl Listener {
    /// Connects as `application_name`. A database that takes no writes is refused.
    pub(crate) async fn connect(
        database: &Database,
        application_name: &str,
    ) -> Result<Self, sqlx::Error> {
        // A pool goes on trying for long, and does not say why.
        let (connection, options) = database.open_in_time().await?;
        let _ = tokio::time::timeout(GOODBYE, connection.close()).await;
        let options = options.application_name(application_name);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        let connecting = PgListener::connect_with(&pool);
        let mut inner = tokio::time::timeout(database.connect_timeout, connecting)
            .await
            .map_err(|_| no_answer(&database.address(), database.connect_timeout))??;
        // A connection that was lost is an error: what was sent to it meanwhile is lost with it.
        inner.eager_reconnect(false);
        let place = database.address();
        let mut listener = Self { inner, place };
        let (is_read_only,) = listener.ask(IS_READ_ONLY).await?;
        if is_read_only {
            return Err(read_only(&listener.place));
        }
        Ok(listener)
    }

    /// Listens on `channel`. `false`: notifications do not arrive here, as behind a pooler that lends
    /// another server connection to each transaction. `database` sends a test notification.
    pub(crate) async fn listen(
        &mut self,
        channel: &str,
        database: &Database,
    ) -> Result<bool, sqlx::Error> {
        Ok(self.round_trip(channel, database).await?.is_some())
    }

    /// Listens on `channel`, and measures how long a notification of `database` takes; `None`: it does not arrive.
    pub(crate) async fn round_trip(
        &mut self,
        channel: &str,
        database: &Database,
    ) -> Result<Option<Duration>, sqlx::Error> {
        let listen = format!("LISTEN {channel}; SELECT pg_backend_pid() AS pid");
        let (pid,): (i32,) = self.ask(AssertSqlSafe(listen)).await?;
        let token = format!("test:{:016x}", rand::random::<u64>());
        let mut session = database.connect().await?;
        let sent = Instant::now();
        session.notify(channel, &token).await?;
        let arriving = async {
            while self.wait().await? != token {}
            Ok(sent.elapsed())
        };
        let arrived = tokio::time::timeout(ARRIVES_WITHIN, arriving).await;
        if arrived.is_err() {
            session.end_listening(pid).await?;
        }
        session.close().await?;
        arrived.ok().transpose()
    }

    /// Changes the name that `pg_stat_activity` shows.
    pub(crate) async fn rename(&mut self, application_name: &str) -> Result<(), sqlx::Error> {
        let name = application_name.replace('\'', "''");
        let statement = AssertSqlSafe(format!("SET application_name = '{name}'"));
        let renaming = sqlx::raw_sql(statement).execute(&mut self.inner);
        bound(&self.place, renaming).await.map(|_| ())
    }

    /// The payload of the next notification. Cancelling it loses none.
    pub(crate) async fn wait(&mut self) -> Result<String, sqlx::Error> {
        let notification = self.inner.try_recv().await?;
        let notification = notification.ok_or_else(|| lost(&self.place))?;
        Ok(notification.payload().to_owned())
    }

    /// The one row of a statement without parameters.
    pub(crate) async fn ask<T>(&mut self, statement: impl SqlSafeStr) -> Result<T, sqlx::Error>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        // In one message: behind a pooler the next one, outside of a transaction, may reach another server.
        let asking = sqlx::raw_sql(statement).fetch_one(&mut self.inner);
        T::from_row(&bound(&self.place, asking).await?)
    }
}

async fn bound<T>(
    place: &str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_WITHIN, work)
        .await
        .unwrap_or_else(|_| Err(no_answer(place, ANSWER_WITHIN)))
}

fn read_only(place: &str) -> sqlx::Error {
    let problem = format!("{place} is read-only, as a standby is");
    sqlx::Error::Io(std::io::Error::other(problem))
}

fn lost(place: &str) -> sqlx::Error {
    let problem = format!("the connection to {place} was closed");
    sqlx::Error::Io(std::io::Error::new(
        std::io::ErrorKind::ConnectionReset,
        problem,
    ))
}
