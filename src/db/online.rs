//! The steps of a migration that may take long: each looks whether it is still due, holds no
//! lock that stops a writer, and can be interrupted and run again.

mod indexes;

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use self::indexes::INDEXES;
use super::migrate::{MigrationFailed, is_there, made};
use super::watch::Work;
use super::{Access, Session, Transaction, Unnamed, sqlstate};
use crate::handlers::EventType;

/// An index is asked for this often while another migration is in the way.
const BUILD_TRIES: u32 = 20;
/// Events looked at per statement of the back-fill.
const BACKFILL_BATCH: i64 = 20_000;
/// Tables with at most one row per event and person.
const WALLED: [&str; 2] = ["notifications", "pending_emails"];

/// What was done outside of the migrations' transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct OnlineReport {
    pub indexes: Vec<String>,
    /// Events that lacked a processing row and are pending now.
    pub backfilled_pending: u64,
    /// Events that lacked one and are too old: recorded as failed, with the reason.
    pub backfilled_expired: u64,
    /// Once-only notifications that older jobs sent.
    pub backfilled_once: u64,
}

/// The names of the indexes that a migrated database has, besides the two of [`one_per_event_and_user`].
pub fn index_names() -> impl Iterator<Item = &'static str> {
    INDEXES.iter().map(|definition| name_of(definition))
}

/// Takes every step that is still due.
pub(super) async fn complete(
    session: &mut Session,
    max_event_age: Duration,
) -> Result<OnlineReport, MigrationFailed> {
    let mut report = OnlineReport::default();
    for definition in INDEXES {
        build(session, definition, &mut report).await?;
    }
    for table in WALLED {
        for definition in one_per_event_and_user(session, table).await? {
            build(session, &definition, &mut report).await?;
        }
    }
    backfill_events(session, max_event_age, &mut report).await?;
    report.backfilled_once = backfill_once(session).await?;
    Ok(report)
}

/// The second wall against doubled rows: at most one per event and person. What builds it.
///
/// Rows that an older job doubled stay as they are; the uniqueness begins behind them.
async fn one_per_event_and_user(
    session: &mut Session,
    table: &str,
) -> Result<Vec<String>, sqlx::Error> {
    let wall =
        format!("UNIQUE INDEX CONCURRENTLY {table}_event_user_key ON {table} (event_id, user_id)");
    let mut transaction = session.begin(Access::ReadOnly).await?;
    if !is_there(&mut transaction, table).await? {
        // What is not there yet has no doubled rows; pending_emails is made with its own wall.
        return Ok(Vec::from_iter((table == "notifications").then_some(wall)));
    }
    if is_walled(&mut transaction, table, name_of(&wall)).await? {
        return Ok(Vec::new());
    }
    let doubled: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT max(id)::bigint FROM (SELECT max(id) AS id FROM {table} \
         GROUP BY event_id, user_id HAVING count(*) > 1) AS doubled"
    )))
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.commit().await?;
    let Some(last) = doubled else {
        return Ok(vec![wall]);
    };
    // Look-ups by event and its cascade of deletes need the old rows as well.
    let all = format!("INDEX CONCURRENTLY {table}_event_user_idx ON {table} (event_id, user_id)");
    Ok(vec![all, format!("{wall} WHERE id > {last}")])
}

/// Whether a valid unique index of ours, or one of the application's over the same two columns
/// and all rows, is there.
async fn is_walled(
    transaction: &mut Transaction<'_>,
    table: &str,
    key: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (
            SELECT FROM pg_index i
              JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid
               AND (c.relname = $2
                    OR i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2
                       AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
                              FROM pg_attribute a
                             WHERE a.attrelid = i.indrelid
                               AND a.attnum = ANY (i.indkey::smallint[])) = '{event_id,user_id}')) AS "is_walled!""#,
        table,
        key
    )
    .fetch_one(Unnamed(transaction))
    .await
}

/// Builds an index where there is none of its name. Two migrations at the same time are in each
/// other's way here: one of them is refused, and finds what the other has built.
async fn build(
    session: &mut Session,
    definition: &str,
    report: &mut OnlineReport,
) -> Result<(), MigrationFailed> {
    let mut tries = 1;
    let is_built = loop {
        match try_build(session, definition).await {
            Err(MigrationFailed::Index { source, .. })
                if tries < BUILD_TRIES && is_in_anothers_way(&source) =>
            {
                let index = name_of(definition);
                tracing::info!(index, tries, "another migration is at it; trying again");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            result => break result?,
        }
    };
    if is_built {
        report.indexes.push(name_of(definition).to_owned());
    }
    Ok(())
}

/// Deadlock, lock not available, an index of that name made in the meantime, or gone.
fn is_in_anothers_way(error: &sqlx::Error) -> bool {
    match sqlstate(error).as_deref() {
        // XX000: "tuple concurrently updated", of the catalogue.
        Some("40P01" | "55P03" | "42P07" | "42704" | "XX000") => true,
        // A name that both enter into the catalogue at once; not rows that are doubled.
        Some("23505") => {
            error.as_database_error().and_then(|error| error.table()) == Some("pg_class")
        }
        _ => false,
    }
}

fn word_after<'a>(definition: &'a str, word: &str) -> &'a str {
    let mut words = definition.split(' ').skip_while(|found| *found != word);
    words.nth(1).unwrap_or_default()
}

fn name_of(definition: &str) -> &str {
    word_after(definition, "CONCURRENTLY")
}

/// The statement that records that migrate made the index.
fn record(definition: &str) -> String {
    made::record(name_of(definition), word_after(definition, "ON"))
}

/// One that an interrupted build left invalid is dropped and built again.
async fn try_build(session: &mut Session, definition: &str) -> Result<bool, MigrationFailed> {
    let name = name_of(definition);
    let valid = validity(session, name).await?;
    if valid == Some(true) {
        return Ok(false);
    }
    let failed = |source: sqlx::Error| MigrationFailed::Index {
        name: name.to_owned(),
        advice: match sqlstate(&source).as_deref() {
            Some("57014") => {
                "; the role's statement_timeout is too short for a table of this size: raise it \
                 for the migration (ALTER ROLE … SET statement_timeout) and run it again"
            }
            _ => "",
        },
        source,
    };
    if valid == Some(false) {
        let drop = format!("DROP INDEX CONCURRENTLY {name}");
        concurrently(session, drop).await.map_err(failed)?;
    }
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let record = AssertSqlSafe(record(definition));
    transaction.command(record).await?;
    transaction.commit().await?;
    let create = format!("CREATE {definition}");
    concurrently(session, create).await.map_err(failed)?;
    Ok(true)
}

/// Executes what takes as long as the table is large, outside of a transaction.
async fn concurrently(session: &mut Session, statement: String) -> Result<(), sqlx::Error> {
    let Session {
        connection,
        database,
        ..
    } = session;
    let executing = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection);
    let watching = database.watched(Work::Statement(&statement), executing);
    watching.await.map(|_| ())
}

/// The statements of the steps that are still due, for a person to read: those of the back-fill, which
/// takes batches, as a comment.
pub(super) async fn script(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut indexes: Vec<_> = INDEXES.iter().map(|&index| index.to_owned()).collect();
    for table in WALLED {
        indexes.extend(one_per_event_and_user(session, table).await?);
    }
    let mut script = String::new();
    for definition in indexes {
        let name = name_of(&definition);
        let valid = validity(session, name).await?;
        if valid == Some(false) {
            let _ = writeln!(script, "DROP INDEX CONCURRENTLY {name};");
        }
        if valid != Some(true) {
            let record = record(&definition);
            let _ = writeln!(script, "{record};\nCREATE {definition};");
        }
    }
    let backfill = backfill_statement(session).await?;
    let _ = writeln!(
        script,
        "\n-- Events without a row, in batches of {BACKFILL_BATCH} ($2), from id $1 on, until none is left;\n\
         -- $3 is the age limit in seconds:\n--   {}\n\n{};",
        backfill.trim_end().replace('\n', "\n--   "),
        once_statement().trim_end()
    );
    Ok(script)
}

/// Whether an index is valid, if it is there.
async fn validity(session: &mut Session, name: &str) -> Result<Option<bool>, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    sqlx::query_scalar!(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)",
        name
    )
    .fetch_optional(Unnamed(&mut transaction))
    .await
}

/// What gives a batch of events their rows: $1 the identifier that it begins with, $2 its size,
/// $3 the seconds after which an event is too old.
async fn backfill_statement(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let has_created_at = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('domain_events') AND attname = 'created_at'
              AND NOT attisdropped) AS "has_created_at!""#,
    )
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.commit().await?;
    let occurred = if has_created_at {
        "coalesce(occurred_at, created_at)"
    } else {
        "occurred_at"
    };
    Ok(include_str!("online/backfill.sql").replace("{occurred}", occurred))
}

/// Gives each event that lacks a processing row one, in batches by identifier.
async fn backfill_events(
    session: &mut Session,
    max_event_age: Duration,
    report: &mut OnlineReport,
) -> Result<(), MigrationFailed> {
    let statement = backfill_statement(session).await?;
    let mut next = Some(i64::MIN);
    while let Some(from) = next {
        let mut transaction = session.begin(Access::ReadWrite).await?;
        let (reached, pending, expired): (Option<i64>, i64, i64) =
            sqlx::query_as(AssertSqlSafe(statement.clone()))
                .bind(from)
                .bind(BACKFILL_BATCH)
                .bind(max_event_age.as_secs_f64())
                .fetch_one(Unnamed(&mut transaction))
                .await?;
        transaction.commit().await?;
        report.backfilled_pending += pending.unsigned_abs();
        report.backfilled_expired += expired.unsigned_abs();
        tracing::debug!(reached, "back-filled");
        next = reached.and_then(|id| id.checked_add(1));
    }
    Ok(())
}

/// Remembers the once-only notifications that an older job sent, in either way. The keys are those that
/// the handlers make.
fn once_statement() -> String {
    let keys = EventType::ALL.iter().filter_map(|known| known.once_keys());
    let keys: Vec<_> = keys.collect();
    include_str!("online/once.sql").replace("{keys}", &keys.join(" UNION ALL "))
}

async fn backfill_once(session: &mut Session) -> Result<u64, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let added = sqlx::query(AssertSqlSafe(once_statement()))
        .execute(Unnamed(&mut transaction))
        .await?;
    transaction.commit().await?;
    Ok(added.rows_affected())
}
