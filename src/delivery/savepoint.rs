//! A part of a transaction that may fail on its own.

use crate::db::{ErrorClass, Transaction};

/// Does `work`. If the database refuses it, it is rolled back and the transaction continues.
pub(super) async fn in_savepoint<T>(
    transaction: &mut Transaction<'_>,
    work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, sqlx::Error>,
) -> Result<Result<T, sqlx::Error>, sqlx::Error> {
    transaction.command("SAVEPOINT part").await?;
    match work(transaction).await {
        Ok(done) => {
            transaction.command("RELEASE SAVEPOINT part").await?;
            Ok(Ok(done))
        }
        Err(error) if ErrorClass::of(&error) == ErrorClass::Unreachable => Err(error),
        Err(error) => {
            transaction.command("ROLLBACK TO SAVEPOINT part").await?;
            Ok(Err(error))
        }
    }
}
