//! Statements that may take as long as they need, as to build an index does: over another connection
//! the server is asked whether it is still at work.

use std::time::Duration;

use super::deadline::no_answer;
use super::{Access, Database, Unnamed};

/// How often the server is asked, at most.
const PAUSE: Duration = Duration::from_mins(1);

/// What the server works on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Work<'a> {
    /// The transaction of a backend.
    Transaction(i32),
    /// This statement, on whatever backend a pooler chose.
    Statement(&'a str),
}

impl Database {
    /// Waits for work without a deadline, for as long as the server is at it.
    pub(super) async fn watched<T, E: From<sqlx::Error>>(
        &self,
        what: Work<'_>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let pause = self.deadline.statement_timeout.min(PAUSE);
        let silence = async {
            loop {
                tokio::time::sleep(pause).await;
                match self.is_at_work(what, pause).await {
                    Ok(true) => {}
                    Ok(false) => {
                        return no_answer("the server, which is not at work any more,", pause);
                    }
                    Err(error @ sqlx::Error::Io(_)) => return error,
                    // As where no connection is left: the work is not judged by that.
                    Err(error) => tracing::debug!("the server could not be asked: {error}"),
                }
            }
        };
        tokio::select! {
            biased;
            result = work => result,
            error = silence => Err(error.into()),
        }
    }

    async fn is_at_work(&self, what: Work<'_>, pause: Duration) -> Result<bool, sqlx::Error> {
        let (pid, statement) = match what {
            Work::Transaction(pid) => (Some(pid), None),
            Work::Statement(statement) => (None, Some(statement)),
        };
        let mut session = self.connect().await?;
        let mut transaction = session.begin(Access::ReadOnly).await?;
        // Or it has finished so lately that its answer may be under way.
        let is_at_work = sqlx::query_scalar!(
            r#"SELECT NOT current_setting('track_activities')::boolean OR EXISTS (
                SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND (pid = $1 OR query = $2)
                   AND (state = 'active' OR state_change > now() - make_interval(secs => $3))) AS "is_at_work!""#,
            pid,
            statement,
            pause.as_secs_f64(),
        )
        .fetch_one(Unnamed(&mut transaction))
        .await?;
        transaction.rollback().await?;
        session.close().await?;
        Ok(is_at_work)
    }
}
