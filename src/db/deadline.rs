//! How long an answer of the server is waited for. A connection may fall silent without an error:
//! behind a half-open NAT, a dead pooler, a machine that lost its power.

use std::io;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Access, Database, ErrorClass, Session, Unnamed, sqlstate};

/// The server ends each statement by itself; one that says nothing for this long after is gone.
const SILENCE: Duration = Duration::from_secs(3);
/// What a statement gets once the command is to stop or its time is over.
const LAST_WAIT: Duration = Duration::from_secs(15);
/// A server that goes away, as for a restart, is waited for this long.
const RECONNECT_FOR: Duration = Duration::from_secs(30);
/// A transaction whose connection was lost is waited for this long.
const END_OF_TRANSACTION: Duration = Duration::from_secs(10);

/// Limits every wait for the server, `BEGIN` and `COMMIT` included.
#[derive(Debug, Clone)]
pub(super) struct Deadline {
    pub(super) statement_timeout: Duration,
    stop: CancellationToken,
    time_is_over: Option<Instant>,
}

impl Deadline {
    pub(super) fn new(statement_timeout: Duration) -> Self {
        Self {
            statement_timeout,
            stop: CancellationToken::new(),
            time_is_over: None,
        }
    }

    /// Fails when the server is silent for longer than any statement may take.
    pub(super) async fn bound<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let limit = self.statement_timeout.saturating_add(SILENCE);
        let waited = tokio::select! {
            biased;
            result = work => return result,
            () = tokio::time::sleep(limit) => limit,
            () = self.last_wait() => LAST_WAIT,
        };
        Err(no_answer("the server", waited).into())
    }

    async fn last_wait(&self) {
        let time_is_over = async {
            match self.time_is_over {
                Some(instant) => tokio::time::sleep_until(instant.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = time_is_over => {}
        }
        tokio::time::sleep(LAST_WAIT).await;
    }
}

/// An error of the kind that a connection has whose peer does not answer.
pub(super) fn no_answer(of: &str, waited: Duration) -> sqlx::Error {
    let problem = format!("no answer from {of} within {} s", waited.as_secs());
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, problem))
}

fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

impl Database {
    /// As [`Deadline::bound`], for several statements.
    pub async fn with_deadline<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let limit = self.deadline.statement_timeout.saturating_add(LAST_WAIT);
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| Err(no_answer("the server", limit)))
    }

    /// The same database for a command that may be stopped, or has a time limit: a statement that is
    /// silent by then is not waited for much longer.
    pub fn until(&self, stop: &CancellationToken, max_runtime: Duration) -> Self {
        let mut database = self.clone();
        database.deadline.stop = stop.clone();
        database.deadline.time_is_over = Instant::now().checked_add(max_runtime);
        database
    }

    /// Opens another connection in the place of one that was lost, waiting for a server that is
    /// away. One that does not answer at all is left to a later run. Where a `COMMIT` was not answered,
    /// asks whether that transaction was committed.
    pub async fn reconnect(
        &self,
        stop: &CancellationToken,
        in_doubt: Option<i64>,
    ) -> Result<(Session, bool), sqlx::Error> {
        tracing::warn!("lost the connection; trying again");
        let since = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
            let connecting = async {
                let mut session = self.connect().await?;
                let is_committed = match in_doubt {
                    Some(xid) => session.is_committed(xid).await?,
                    None => false,
                };
                Ok((session, is_committed))
            };
            match connecting.await {
                Err(error)
                    if ErrorClass::of(&error) == ErrorClass::Unreachable
                        && !is_silence(&error)
                        && since.elapsed() < RECONNECT_FOR
                        && !stop.is_cancelled() => {}
                result => return result,
            }
        }
    }
}

impl Session {
    /// Whether a transaction of a connection that was lost was committed. One that goes on is waited
    /// for.
    async fn is_committed(&mut self, xid: i64) -> Result<bool, sqlx::Error> {
        let since = Instant::now();
        loop {
            let mut transaction = self.begin(Access::ReadOnly).await?;
            let status =
                sqlx::query_scalar!("SELECT pg_xact_status($1::text::xid8)", xid.to_string())
                    .fetch_one(Unnamed(&mut transaction))
                    .await;
            transaction.rollback().await?;
            let status: Option<String> = match status {
                // A server that took over without it does not know it.
                Err(error) if sqlstate(&error).as_deref() == Some("22023") => None,
                status => status?,
            };
            if status.as_deref() != Some("in progress") || since.elapsed() >= END_OF_TRANSACTION {
                return Ok(status.as_deref() == Some("committed"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
