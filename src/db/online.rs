//! The steps of a migration that may take long: each looks whether it is still due, holds no
//! lock that stops a writer, and can be interrupted and run again.

mod indexes;

use std::fmt::Write as _;
use std::time::Duration;

use sqlx::AssertSqlSafe;

use self::indexes::INDEXES;
use super::migrate::{MigrationFailed, made};
use super::watch::Work;
use super::{Access, Session, Unnamed, sqlstate};

/// An index is asked for this often while another migration is in the way.
const BUILD_TRIES: u32 = 20;
/// Events looked at per statement of the back-fill.
const BACKFILL_BATCH: i64 = 20_000;

/// What was done outside of the migrations' transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct OnlineReport {
    /// Indexes built.
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
    INDEXES.iter().map(|index| index.name)
}

/// Takes every step that is still due.
pub(super) async fn complete(
    session: &mut Session,
    max_event_age: Duration,
) -> Result<OnlineReport, MigrationFailed> {
    let mut report = OnlineReport::default();
    for index in INDEXES {
        if build(session, index.name, index.definition).await? {
            report.indexes.push(index.name.to_owned());
        }
    }
    for table in ["notifications", "pending_emails"] {
        for (name, definition) in one_per_event_and_user(session, table).await? {
            if build(session, &name, &definition).await? {
                report.indexes.push(name);
            }
        }
    }
    backfill_events(session, max_event_age, &mut report).await?;
    report.backfilled_once = backfill_once(session).await?;
    Ok(report)
}

/// The second wall against doubled rows: at most one per event and person. What builds it, by name.
///
/// Rows that an older job doubled stay as they are; the uniqueness begins behind them.
async fn one_per_event_and_user(
    session: &mut Session,
    table: &'static str,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let key = format!("{table}_event_user_key");
    let plain = format!("{table}_event_user_idx");
    if is_walled(session, table, &key).await? {
        return Ok(Vec::new());
    }
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let doubled: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT max(id)::bigint FROM (SELECT max(id) AS id FROM {table} \
         GROUP BY event_id, user_id HAVING count(*) > 1) AS doubled"
    )))
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.commit().await?;
    let wall = format!("UNIQUE INDEX CONCURRENTLY {{name}} ON {table} (event_id, user_id)");
    let Some(last) = doubled else {
        return Ok(vec![(key, wall)]);
    };
    // Look-ups by event and its cascade of deletes need the old rows as well.
    let all = format!("INDEX CONCURRENTLY {{name}} ON {table} (event_id, user_id)");
    Ok(vec![
        (plain, all),
        (key, format!("{wall} WHERE id > {last}")),
    ])
}

/// Whether a valid unique index of ours, or one of the application's over the same two columns
/// and all rows, is there.
async fn is_walled(session: &mut Session, table: &str, key: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    sqlx::query_scalar(
        "SELECT EXISTS (
            SELECT FROM pg_index i
              JOIN pg_class c ON c.oid = i.indexrelid
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid
               AND (c.relname = $2
                    OR i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2
                       AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
                              FROM pg_attribute a
                             WHERE a.attrelid = i.indrelid
                               AND a.attnum = ANY (i.indkey::smallint[])) = '{event_id,user_id}'))",
    )
    .bind(table)
    .bind(key)
    .fetch_one(Unnamed(&mut transaction))
    .await
}

/// Builds an index where there is none of its name. Two migrations at the same time are in each
/// other's way here: one of them is refused, and finds what the other has built.
async fn build(
    session: &mut Session,
    name: &str,
    definition: &str,
) -> Result<bool, MigrationFailed> {
    let mut tries = 1;
    loop {
        match try_build(session, name, definition).await {
            Err(MigrationFailed::Index { source, .. })
                if tries < BUILD_TRIES && is_in_anothers_way(&source) =>
            {
                tracing::info!(
                    index = name,
                    tries,
                    "another migration is at it; trying again"
                );
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            result => return result,
        }
    }
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

fn create(name: &str, definition: &str) -> String {
    format!("CREATE {}", definition.replace("{name}", name))
}

/// The table that an index is on.
fn table_of(definition: &str) -> &str {
    let mut words = definition
        .split(' ')
        .skip_while(|word| *word != "ON")
        .skip(1);
    words.next().unwrap_or_default()
}

/// One that an interrupted build left invalid is dropped and built again.
async fn try_build(
    session: &mut Session,
    name: &str,
    definition: &str,
) -> Result<bool, MigrationFailed> {
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
    let record = made::record(name, table_of(definition));
    transaction.command(AssertSqlSafe(record)).await?;
    transaction.commit().await?;
    let create = create(name, definition);
    concurrently(session, create).await.map_err(failed)?;
    Ok(true)
}

/// Executes what takes as long as the table is large, outside of a transaction.
async fn concurrently(session: &mut Session, statement: String) -> Result<(), sqlx::Error> {
    let Session {
        connection,
        database,
    } = session;
    let executing = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection);
    let watching = database.watched(Work::Statement(&statement), executing);
    watching.await.map(|_| ())
}

/// The statements of the steps that are still due, for a person to read: those of the back-fill, which
/// takes batches, as a comment.
pub(super) async fn script(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut indexes: Vec<_> = INDEXES
        .iter()
        .map(|index| (index.name.to_owned(), index.definition.to_owned()))
        .collect();
    for table in ["notifications", "pending_emails"] {
        if exists(session, table).await? {
            indexes.extend(one_per_event_and_user(session, table).await?);
        } else if table == "notifications" {
            // What is not there yet has no doubled rows; pending_emails is made with its own wall.
            let wall = format!("UNIQUE INDEX CONCURRENTLY {{name}} ON {table} (event_id, user_id)");
            indexes.push((format!("{table}_event_user_key"), wall));
        }
    }
    let mut script = String::new();
    for (name, definition) in indexes {
        let valid = validity(session, &name).await?;
        if valid == Some(false) {
            let _ = writeln!(script, "DROP INDEX CONCURRENTLY {name};");
        }
        if valid != Some(true) {
            let record = made::record(&name, table_of(&definition));
            let _ = writeln!(script, "{record};\n{};", create(&name, &definition));
        }
    }
    let backfill = backfill_statement(session).await?;
    let _ = writeln!(
        script,
        "\n-- Events without a row, in batches of {BACKFILL_BATCH} ($2), from id $1 on, until none is left;\n\
         -- $3 is the age limit in seconds:\n--   {}\n\n{ONCE};",
        backfill.replace('\n', "\n--   ")
    );
    Ok(script)
}

async fn exists(session: &mut Session, table: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(Unnamed(&mut transaction))
        .await
}

/// Whether an index is valid, if it is there.
async fn validity(session: &mut Session, name: &str) -> Result<Option<bool>, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    sqlx::query_scalar("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)")
        .bind(name)
        .fetch_optional(Unnamed(&mut transaction))
        .await
}

/// What gives a batch of events their rows: $1 the identifier that it begins with, $2 its size,
/// $3 the seconds after which an event is too old.
async fn backfill_statement(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let created_at: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_attribute
          WHERE attrelid = to_regclass('domain_events') AND attname = 'created_at'
            AND NOT attisdropped)",
    )
    .fetch_one(Unnamed(&mut transaction))
    .await?;
    transaction.commit().await?;
    let occurred = if created_at {
        "coalesce(occurred_at, created_at)"
    } else {
        "occurred_at"
    };
    // now(), not the event's time, starts its retries; but the oldest are to be claimed first.
    Ok(format!(
        "WITH batch AS (
            SELECT id, {occurred} AS known_at, coalesce({occurred}, now()) AS occurred_at,
                   CASE WHEN pg_typeof(thread_id) = 'uuid'::regtype THEN thread_id::text::uuid END AS thread_id
              FROM domain_events
             WHERE id >= $1 ORDER BY id LIMIT $2
        ), added AS (
            INSERT INTO notification_processing
                (event_id, occurred_at, thread_id, next_attempt_at, retry_count, created_at, processing_status, completed_at, error_message)
            SELECT b.id, b.occurred_at, b.thread_id, least(b.occurred_at, now()), 0, now(),
                   CASE WHEN late THEN 'failed' ELSE 'pending' END,
                   CASE WHEN late THEN now() END,
                   CASE WHEN late THEN 'expired: older than the age limit when the job was adopted' END
              FROM batch b
              CROSS JOIN LATERAL (SELECT b.occurred_at < now() - make_interval(secs => $3)) AS age (late)
             WHERE NOT EXISTS (SELECT FROM notification_processing p WHERE p.event_id = b.id)
               -- Processed, and its row pruned since. What occurred later has the identifier of
               -- another event.
               AND NOT EXISTS (SELECT FROM notification_pruned r
                                WHERE r.event_ids @> b.id::bigint
                                  AND (b.known_at <= r.pruned_at) IS NOT FALSE)
             ORDER BY b.id
            ON CONFLICT (event_id) DO NOTHING
            RETURNING processing_status
        )
        SELECT (SELECT max(id) FROM batch),
               (SELECT count(*) FROM added WHERE processing_status = 'pending'),
               (SELECT count(*) FROM added WHERE processing_status = 'failed')"
    ))
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

const ONCE: &str = "INSERT INTO notification_once (user_id, once_key, event_id, ends_with_notification)
 SELECT DISTINCT ON (sent.user_id, k.once_key) sent.user_id, k.once_key, e.id, sent.is_shown
   FROM domain_events e
   JOIN (SELECT user_id, event_id, true AS is_shown FROM notifications
         UNION ALL SELECT user_id, event_id, false FROM pending_emails) AS sent ON sent.event_id = e.id
  CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(e.payload -> 'nudge_tier')
            WHEN 'string' THEN btrim(e.payload ->> 'nudge_tier', E' \\t\\n\\v\\f\\r')
            WHEN 'number' THEN trim_scale((e.payload ->> 'nudge_tier')::numeric)::text
        END) AS t (tier)
  CROSS JOIN LATERAL (SELECT concat_ws(':', 'resume_incomplete_nudge', e.project_id,
             e.payload ->> 'resume_type', t.tier)) AS k (once_key)
  WHERE e.event_type::text = 'resume_incomplete_nudge' AND e.project_id IS NOT NULL
    AND e.payload ->> 'resume_type' IN ('project', 'borrower')
    -- What is longer, the handler refuses.
    AND octet_length(t.tier) BETWEEN 1 AND 100
    AND sent.user_id IS NOT NULL
  ORDER BY sent.user_id, k.once_key, e.id, sent.is_shown DESC
 ON CONFLICT DO NOTHING";

/// Remembers the nudges that an older job sent, in either way: each is sent once, ever. The keys are
/// those that the handler makes.
async fn backfill_once(session: &mut Session) -> Result<u64, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadWrite).await?;
    let added = sqlx::query(ONCE).execute(Unnamed(&mut transaction)).await?;
    transaction.commit().await?;
    Ok(added.rows_affected())
}
