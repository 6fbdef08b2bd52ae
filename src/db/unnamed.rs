//! An executor that leaves a prepared statement behind on the server only where that is asked for.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres, SqlStr};

use super::Transaction;

/// Runs each query as an unnamed statement, planned for the values at hand, and within the
/// transaction's deadline; by name only where the session keeps statements.
///
/// Two reasons for the first. Behind a pooler in transaction mode a named statement may be met again on another
/// server, or collide with another client's. And a plan kept from when a table was empty is a
/// sequential scan for as long as the connection lives.
#[derive(Debug)]
pub struct Unnamed<'c, 's>(pub &'c mut Transaction<'s>);

struct Kept<E> {
    query: E,
    keep: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Kept<E> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.keep && self.query.persistent()
    }
}

impl<'c, 's: 'c> Executor<'c> for Unnamed<'c, 's> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Transaction {
            inner,
            deadline,
            keeps_statements: keep,
        } = self.0;
        let rows = (&mut **inner).fetch_many(Kept { query, keep: *keep });
        let next = async |mut rows: BoxStream<'e, _>| {
            let next = async { rows.next().await.transpose() };
            let row = deadline.bound(next).await.transpose()?;
            Some((row, rows))
        };
        Box::pin(stream::unfold(rows, next))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Transaction {
            inner,
            deadline,
            keeps_statements: keep,
        } = self.0;
        Box::pin(deadline.bound((&mut **inner).fetch_optional(Kept { query, keep: *keep })))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        let Transaction {
            inner, deadline, ..
        } = self.0;
        Box::pin(deadline.bound((&mut **inner).prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<sqlx::Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        let Transaction {
            inner, deadline, ..
        } = self.0;
        Box::pin(deadline.bound((&mut **inner).describe(sql)))
    }
}
