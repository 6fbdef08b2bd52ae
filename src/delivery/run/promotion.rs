//! Promotes queued e-mails during a run, not far ahead of what is sent.

use super::{Run, TRIES};
use crate::db::{Access, ErrorClass, Unnamed, sqlstate};
use crate::delivery::promote::Promoted;

/// E-mails are promoted while fewer deliveries than this are due.
const AHEAD: u64 = 200;

impl Run<'_> {
    /// Promotes a batch of each queue. `false`: both are empty.
    pub(super) async fn promote(&mut self) -> Result<bool, sqlx::Error> {
        if !self.sends_emails {
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
        let error = match self.try_promote(place).await {
            Ok(promoted) => {
                self.queues[place].advance(&promoted);
                self.ahead += promoted.deliveries;
                self.report.add(promoted.report);
                return Ok(());
            }
            Err(error) => error,
        };
        let queue = &mut self.queues[place];
        queue.tries += 1;
        match ErrorClass::of(&error) {
            ErrorClass::Unreachable => self.recover(error, 1).await,
            ErrorClass::Contended | ErrorClass::Blocked if queue.tries < TRIES => {
                let tries = queue.tries;
                self.recover(error, tries).await
            }
            ErrorClass::Refused | ErrorClass::Contended | ErrorClass::Other => {
                if queue.halve() {
                    return Ok(());
                }
                match self.try_fail_refused(place, &error).await {
                    Ok(true) => {}
                    Ok(false) => self.leave_queued(place, error),
                    Err(error) => self.recover(error, 1).await?,
                }
                Ok(())
            }
            _ => {
                self.leave_queued(place, error);
                Ok(())
            }
        }
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

    async fn try_promote(&mut self, place: usize) -> Result<Promoted, sqlx::Error> {
        let (settings, queue) = (self.settings, &self.queues[place]);
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
                let promoted = queue.promote(&mut transaction, settings).await?;
                transaction.commit().await?;
                Ok(promoted)
            })
            .await
    }

    async fn try_fail_refused(
        &mut self,
        place: usize,
        refusal: &sqlx::Error,
    ) -> Result<bool, sqlx::Error> {
        let (settings, queue) = (self.settings, &mut self.queues[place]);
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        let failing = async {
            let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
            let report = queue
                .fail_refused(&mut transaction, settings, refusal)
                .await?;
            transaction.commit().await?;
            Ok(report)
        };
        let report = self.database.within(failing).await?;
        let is_done = report.is_some();
        self.report.add(report.unwrap_or_default());
        Ok(is_done)
    }

    /// Whether enough e-mails are promoted. An idle run counts again: other workers may have sent them.
    pub(super) async fn is_ahead(&mut self, is_idle: bool) -> Result<bool, sqlx::Error> {
        if is_idle && self.ahead >= AHEAD {
            let mut tries = 1;
            self.ahead = loop {
                match self.try_count_ahead().await {
                    Ok(ahead) => break ahead,
                    Err(error) => self.recover(error, tries).await?,
                }
                tries += 1;
            };
        }
        Ok(self.ahead >= AHEAD)
    }

    async fn try_count_ahead(&mut self) -> Result<u64, sqlx::Error> {
        let most = i64::try_from(AHEAD).unwrap_or(i64::MAX);
        let Some(session) = &mut self.session else {
            return Err(sqlx::Error::PoolClosed);
        };
        self.database
            .within(async {
                let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
                let ahead = sqlx::query_file_scalar!("src/delivery/ahead.sql", most)
                    .fetch_one(Unnamed(&mut transaction))
                    .await?;
                transaction.rollback().await?;
                Ok(ahead.unsigned_abs())
            })
            .await
    }
}
