//! Servers that go away, or fall silent.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Database, Fault, Session};

/// A server that is silent for this long after its own time limit is gone.
const SILENCE: Duration = Duration::from_secs(15);
/// A server that goes away, as for a restart, is waited for this long.
const RECONNECT_FOR: Duration = Duration::from_secs(30);

impl Database {
    /// Opens another connection in the place of one that was lost, waiting for a server that is away.
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
                        && since.elapsed() < RECONNECT_FOR
                        && !stop.is_cancelled() => {}
                result => return result,
            }
        }
    }

    /// As [`within`], by the limit that this database's statements have.
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        within(self.statement_timeout, work).await
    }
}

/// Gives up on a server that says nothing for longer than any statement may take.
pub async fn within<T>(
    statement_timeout: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(statement_timeout + SILENCE, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}
