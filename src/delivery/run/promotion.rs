//! Promotes queued e-mails during a run, not far ahead of what is sent.

use super::Run;
use super::connection::TRIES;
use crate::db::{Access, ErrorClass, Unnamed, sqlstate};

/// E-mails are promoted while fewer deliveries than this are due.
const AHEAD: u64 = 200;

impl Run<'_> {
    /// Promotes a batch of each queue. `false`: both are empty.
    pub(super) async fn promote(&mut self) -> Result<bool, sqlx::Error> {
        if self.capabilities.email_transport.is_none() {
            return Ok(false);
        }
        for place in 0..self.queues.len() {
            if !self.queues[place].is_empty {
                self.promote_from(place).await?;
            }
        }
        Ok(self.queues.iter().any(|queue| !queue.is_empty))
    }

    async fn promote_from(&mut self, place: usize) -> Result<(), sqlx::Error> {
        let (settings, queue) = (self.settings, &mut self.queues[place]);
        let promoting = self
            .connection
            .transact(Access::ReadWrite, async |transaction| {
                queue.promote(transaction, settings).await
            });
        let error = match promoting.await {
            Ok(promoted) => {
                queue.advance(&promoted);
                self.ahead += promoted.deliveries;
                self.report.add(promoted.report);
                return Ok(());
            }
            Err(error) => error,
        };
        queue.tries += 1;
        match ErrorClass::of(&error) {
            ErrorClass::Unreachable => self.connection.recover(error, 1).await,
            ErrorClass::Contended | ErrorClass::Blocked if queue.tries < TRIES => {
                self.connection.recover(error, queue.tries).await
            }
            ErrorClass::Refused | ErrorClass::Contended | ErrorClass::Other if queue.halve() => {
                Ok(())
            }
            ErrorClass::Refused | ErrorClass::Contended | ErrorClass::Other => {
                self.fail_refused(place, error).await
            }
            _ => {
                self.leave_queued(place, error);
                Ok(())
            }
        }
    }

    /// Fails what the database refuses of the smallest batch.
    async fn fail_refused(
        &mut self,
        place: usize,
        refusal: sqlx::Error,
    ) -> Result<(), sqlx::Error> {
        let (settings, queue) = (self.settings, &mut self.queues[place]);
        let failing = self
            .connection
            .transact(Access::ReadWrite, async |transaction| {
                queue.fail_refused(transaction, settings, &refusal).await
            });
        match failing.await {
            Ok(Some(report)) => self.report.add(report),
            Ok(None) => self.leave_queued(place, refusal),
            Err(error) => self.connection.recover(error, 1).await?,
        }
        Ok(())
    }

    /// Stops promoting; deliveries that exist are sent all the same.
    fn leave_queued(&mut self, place: usize, error: sqlx::Error) {
        tracing::error!(
            sqlstate = sqlstate(&error),
            "queued e-mails could not be promoted to deliveries: {error}"
        );
        self.queues[place].is_empty = true;
        self.trouble = Some(error);
    }

    /// Whether enough e-mails are promoted. An idle run counts again: other workers may have sent them.
    pub(super) async fn is_ahead(&mut self, is_idle: bool) -> Result<bool, sqlx::Error> {
        if is_idle && self.ahead >= AHEAD {
            let most = i64::try_from(AHEAD).unwrap_or(i64::MAX);
            let counting = self.connection.retry(Access::ReadOnly, async |transaction| {
                sqlx::query_scalar!(
                    r#"SELECT count(*) AS "deliveries!"
                         FROM (SELECT FROM notification_deliveries
                                WHERE status = 'pending' AND target = 'email' AND next_attempt_at <= now()
                                LIMIT $1) AS due"#,
                    most
                )
                .fetch_one(Unnamed(transaction))
                .await
            });
            self.ahead = counting.await?.unsigned_abs();
        }
        Ok(self.ahead >= AHEAD)
    }
}
