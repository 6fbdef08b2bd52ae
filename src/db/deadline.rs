//! How long an answer of the server is waited for. A connection may fall silent without an error:
//! behind a half-open NAT, a dead pooler, a machine that lost its power.

use std::io;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Database, Fault, Session};

/// The server ends each statement by itself; one that says nothing for this long after is gone.
const SILENCE: Duration = Duration::from_secs(3);
/// What a statement gets once the command is to stop or its time is over.
const LAST_WAIT: Duration = Duration::from_secs(15);
/// A server that goes away, as for a restart, is waited for this long.
const RECONNECT_FOR: Duration = Duration::from_secs(30);

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

    /// Gives up on a server that is silent for longer than any statement may take.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let limit = self.statement_timeout.saturating_add(SILENCE);
        let waited = tokio::select! {
            biased;
            result = work => return result,
            () = tokio::time::sleep(limit) => limit,
            () = self.last_wait() => LAST_WAIT,
        };
        Err(no_answer("the server", waited))
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

/// As [`Deadline::within`], for several statements.
pub async fn within<T>(
    statement_timeout: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let limit = statement_timeout.saturating_add(LAST_WAIT);
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(no_answer("the server", limit)))
}

impl Database {
    /// As [`within`], by the limit that this database's statements have.
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        within(self.deadline.statement_timeout, work).await
    }

    /// The same database for a command that may be told to stop, or has its time: a statement that
    /// is silent by then is not waited for much longer.
    #[must_use]
    pub fn until(&self, stop: &CancellationToken, max_runtime: Duration) -> Self {
        let mut database = self.clone();
        database.deadline.stop = stop.clone();
        database.deadline.time_is_over = Instant::now().checked_add(max_runtime);
        database
    }

    /// Opens another connection in the place of one that was lost, waiting for a server that is
    /// away. One that does not answer at all is left to a later run.
    pub async fn reconnect(&self, stop: &CancellationToken) -> Result<Session, sqlx::Error> {
        tracing::warn!("lost the connection; trying again");
        let since = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
            match self.connect().await {
                Err(error)
                    if Fault::of(&error) == Fault::Unreachable
                        && !is_silence(&error)
                        && since.elapsed() < RECONNECT_FOR
                        && !stop.is_cancelled() => {}
                result => return result,
            }
        }
    }
}
