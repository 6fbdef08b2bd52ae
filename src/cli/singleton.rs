//! The singleton lock: one instance of a job per database, for those who ask for it.

use crate::db::{Access, Database, Session, Transaction, Unnamed};

/// What there can be one instance of; the keys of the advisory locks, any constants do.
#[derive(Debug, Clone, Copy)]
#[repr(i64)]
pub(super) enum Job {
    /// `run`.
    FanOut = 0x006e_6f74_6966_7902,
    /// `deliver`.
    Delivery = 0x006e_6f74_6966_7904,
}

/// Proof that no other exclusive instance of the job runs on this database.
///
/// The lock belongs to a transaction on a connection of its own: a pooler in transaction mode
/// keeps nothing longer. The transaction reads nothing, so it holds back no vacuum; the server
/// ends it with the connection, however that ends.
#[derive(Debug)]
pub(super) struct SingletonLock {
    _session: Session,
}

impl SingletonLock {
    /// `None`: another instance has it.
    pub(super) async fn acquire(
        database: &Database,
        job: Job,
    ) -> Result<Option<Self>, sqlx::Error> {
        let mut session = database.connect().await?;
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let acquired = lock(&mut transaction, job as i64).await?;
        if !acquired {
            transaction.rollback().await?;
            return Ok(None);
        }
        // Dropping the transaction would roll it back; it is to last as long as the connection.
        std::mem::forget(transaction);
        Ok(Some(Self { _session: session }))
    }
}

async fn lock(connection: &mut Transaction<'_>, key: i64) -> Result<bool, sqlx::Error> {
    // This transaction is idle by design, and a machine that is gone must not keep the lock.
    connection
        .command(
            "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL tcp_keepalives_idle = 30; \
             SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3",
        )
        .await?;
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_xact_lock($1) AS "acquired!""#,
        key
    )
    .fetch_one(Unnamed(connection))
    .await
}
