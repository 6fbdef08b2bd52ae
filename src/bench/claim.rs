//! The job's claiming statement, on its own.

use std::time::{Duration, Instant};

use notify_fan_out::db::{Access, Database, Session, Transaction, Unnamed};
use notify_fan_out::handlers::EventType;
use secrecy::SecretString;

/// A connection that claims as the job does, and never commits.
#[derive(Debug)]
pub(crate) struct Claimer(Session);

impl Claimer {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let database = Database::new(&SecretString::from(url), Duration::from_mins(10))?;
        Ok(Self(database.connect().await?))
    }

    /// Claims the events that are due, which have to be so many, and takes it back: they stay where
    /// they were. The time is that of the statement, planning included, in milliseconds.
    pub(crate) async fn time(&mut self, due: u32) -> anyhow::Result<f64> {
        let mut transaction = self.0.begin_indexed(Access::ReadWrite).await?;
        let started = Instant::now();
        let claimed = statement(&mut transaction, due).await?;
        let time = started.elapsed().as_secs_f64() * 1e3;
        transaction.rollback().await?;
        anyhow::ensure!(
            claimed == due as usize,
            "{claimed} events were claimed, not {due}"
        );
        Ok(time)
    }
}

/// The statement as the job sends it.
async fn statement(transaction: &mut Transaction<'_>, at_most: u32) -> sqlx::Result<usize> {
    const AGE_LIMIT_SECONDS: f64 = 24.0 * 3600.0;
    let types = EventType::all_spellings();
    let rows = sqlx::query(include_str!("../fan_out/claim.sql"))
        .bind(i64::from(at_most))
        .bind("bench")
        .bind(AGE_LIMIT_SECONDS)
        .bind(types)
        .bind(i64::from(at_most))
        .bind(Vec::<String>::new())
        .fetch_all(Unnamed(transaction))
        .await?;
    Ok(rows.len())
}
