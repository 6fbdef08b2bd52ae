//! Brings a database, empty or long in service, to the shape this binary needs.
//!
//! Two parts. The files of `migrations/` run in one transaction: catalogue changes only, safe
//! beside writers. What takes long on a large table follows outside of it (see `online`): indexes
//! built concurrently and the back-fill in batches, each step taken only where it is still due.

pub(super) mod made;
mod revert;
mod script;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection as _};

pub use self::revert::{Revert, plan_revert, revert};
pub use self::script::script;
pub use super::objects::{Due, foreign};
pub use super::online::index_names;

use super::contract::{Violation, listed, violations, ways_out};
use super::objects;
use super::online::{self, OnlineReport};
use super::watch::Work;
use super::{Access, ErrorClass, Session, Transaction, Unnamed, said, sqlstate};

/// A name of its own, so as not to meet the application's migrations.
const TABLE: &str = "notify_fan_out_migrations";
/// Locks on tables in use are asked for this long, so that nobody queues behind us for longer …
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// … and this often, with a pause in between.
const LOCK_TRIES: u32 = 10;
/// Key of the advisory lock that keeps two migrations apart; any constant does.
const LOCK_KEY: i64 = 0x006e_6f74_6966_7901;

/// Everything of the service lives beside `domain_events`, wherever on the search path that is.
/// Without this, what is created would go into the first schema of the path, and shadow tables of
/// the application that stand in another. The path before is noted: functions read by it, as the jobs do.
const BESIDE_THE_EVENTS: &str = "SELECT set_config(
    'notify_fan_out.path',
    (SELECT string_agg(quote_ident(name), ', ' ORDER BY no)
       FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, no)),
    true);
SELECT set_config(
    'search_path',
    concat_ws(', ',
        (SELECT quote_ident(n.nspname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid = to_regclass('domain_events')),
        nullif(current_setting('search_path'), '')),
    true)";

/// Comments on the columns that the migrations add to tables which the application may have made.
const COMMENTS: &str = include_str!("../../migrations/objects/comments.sql");

static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("./migrations");
    migrator.dangerous_set_table_name(TABLE);
    // Its lock belongs to a session, which a pooler does not give; ours belongs to the transaction.
    migrator.set_locking(false);
    migrator
});

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct MigrateReport {
    /// Migrations, by number and description.
    pub applied: Vec<String>,
    /// The functions and triggers made, or made anew.
    pub objects: Vec<String>,
    #[serde(flatten)]
    pub online: OnlineReport,
}

/// Why a database could not be migrated.
#[derive(Debug, thiserror::Error)]
pub enum MigrationFailed {
    /// A migration or its bookkeeping failed.
    #[error("{}", describe(.0))]
    Migration(#[from] MigrateError),
    /// A statement outside of the migrations failed.
    #[error("{}", said(.0))]
    Database(#[from] sqlx::Error),
    /// The application's tables are not what the job reads. Nothing was changed.
    #[error("nothing was changed: {}; {}", listed(.0), ways_out(.0))]
    Contract(Vec<Violation>),
    /// The role may not do it.
    #[error(
        "migrate needs the owner of the tables, and {role} is not: {said}; {}; run it as the owner or a \
         superuser, or ask who can",
        .owners.join(", ")
    )]
    NotOwner {
        role: String,
        said: String,
        /// What the role lacks, and who has it.
        owners: Vec<String>,
    },
    /// It is not known what migrate made.
    #[error(
        "this database was migrated by an earlier version, which did not record what it made; run \
         notify-fan-out migrate first"
    )]
    NotRecorded,
    /// An index could not be built.
    #[error("index {name} could not be built: {}{advice}", said(.source))]
    Index {
        name: String,
        /// What to do about it, where that is known.
        advice: &'static str,
        source: sqlx::Error,
    },
}

/// Applies what is missing. Run twice, it does nothing the second time.
///
/// `max_event_age` sorts the events that were there before the job: older ones are recorded as
/// failed with the reason `expired`, for a person to retry; younger ones become pending.
pub async fn migrate(
    session: &mut Session,
    max_event_age: Duration,
) -> Result<MigrateReport, MigrationFailed> {
    match try_migrate(session, max_event_age).await {
        Err(error) if error.sqlstate().as_deref() == Some("42501") => {
            Err(not_owner(session, error).await)
        }
        result => result,
    }
}

async fn try_migrate(
    session: &mut Session,
    max_event_age: Duration,
) -> Result<MigrateReport, MigrationFailed> {
    refuse_violations(session).await?;
    let (applied, objects) = with_retries(session, async |session| apply(session).await).await?;
    let online = online::complete(session, max_event_age).await?;
    Ok(MigrateReport {
        applied,
        objects,
        online,
    })
}

/// Looks at the application's tables by the path that the jobs see them by.
async fn refuse_violations(session: &mut Session) -> Result<(), MigrationFailed> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    if missing(&mut transaction).await?.is_empty() {
        return Ok(transaction.rollback().await?);
    }
    let violations = violations(&mut transaction).await?;
    transaction.rollback().await?;
    if violations.is_empty() {
        Ok(())
    } else {
        Err(MigrationFailed::Contract(violations))
    }
}

/// What this binary would change, in the transaction of the migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The migrations that this binary has and the database has not.
    pub migrations: Vec<String>,
    /// The functions and triggers that are missing or outdated.
    pub objects: Vec<Due>,
    /// Whether none was applied ever.
    pub is_adoption: bool,
}

/// Looks what is to be done, and changes nothing.
pub async fn pending(session: &mut Session) -> Result<Pending, MigrationFailed> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    transaction.command(BESIDE_THE_EVENTS).await?;
    let migrations = missing(&mut transaction).await?;
    let objects = objects::due(&mut transaction).await?;
    let is_adoption = !is_there(&mut transaction, TABLE).await?;
    transaction.rollback().await?;
    Ok(Pending {
        migrations,
        objects,
        is_adoption,
    })
}

async fn missing(transaction: &mut Transaction<'_>) -> Result<Vec<String>, MigrationFailed> {
    let applied = if is_there(transaction, TABLE).await? {
        let listing = transaction.inner.list_applied_migrations(TABLE);
        transaction.deadline.bound(listing).await?
    } else {
        Vec::new()
    };
    forget_statements(transaction).await?;
    Ok(MIGRATOR
        .iter()
        .filter(|known| applied.iter().all(|done| done.version != known.version))
        .map(label)
        .collect())
}

pub(super) async fn is_there(
    transaction: &mut Transaction<'_>,
    table: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT to_regclass($1) IS NOT NULL AS "is_there!""#,
        table
    )
    .fetch_one(Unnamed(transaction))
    .await
}

/// Tries again while a table that is in use is in the way.
async fn with_retries<T>(
    session: &mut Session,
    work: impl AsyncFn(&mut Session) -> Result<T, MigrationFailed>,
) -> Result<T, MigrationFailed> {
    let mut tries = 1;
    loop {
        match work(session).await {
            Err(error) if tries < LOCK_TRIES && lost_a_lock(&error) => {
                tracing::info!(tries, "a table is in use; trying again");
                tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            result => return result,
        }
    }
}

/// Begins a transaction that alters the schema, one at a time.
async fn exclusively(session: &mut Session) -> Result<Transaction<'_>, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadWrite).await?;
    transaction.command(AssertSqlSafe(settings())).await?;
    Ok(transaction)
}

fn settings() -> String {
    format!(
        "SET LOCAL lock_timeout = {};\nSET LOCAL statement_timeout = 0;\n\
         SET LOCAL client_min_messages = warning;\n{BESIDE_THE_EVENTS};\n\
         SELECT pg_advisory_xact_lock({LOCK_KEY})",
        LOCK_TIMEOUT.as_millis()
    )
}

async fn apply(session: &mut Session) -> Result<(Vec<String>, Vec<String>), MigrationFailed> {
    let database = session.database.clone();
    let mut transaction = exclusively(session).await?;
    let due = missing(&mut transaction).await?;
    accept_earlier(&mut transaction).await?;
    transaction.command(AssertSqlSafe(made::before())).await?;
    let work = Work::Transaction(backend(&mut transaction).await?);
    let migrating = MIGRATOR.run_direct(None, &mut *transaction.inner, false);
    database.watched(work, migrating).await?;
    forget_statements(&mut transaction).await?;
    if !due.is_empty() {
        transaction.command(COMMENTS).await?;
        transaction.command(AssertSqlSafe(made::after())).await?;
    }
    let made = objects::make(&mut transaction).await?;
    transaction.commit().await?;
    Ok((due, made))
}

/// A database that an earlier text of a migration made goes on.
async fn accept_earlier(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    if !is_there(transaction, TABLE).await? {
        return Ok(());
    }
    let present = MIGRATOR.iter();
    let present = present.map(|known| (known.version, known.checksum.to_vec()));
    let (versions, checksums): (Vec<_>, Vec<_>) = present.unzip();
    sqlx::query(include_str!("migrate/history.sql"))
        .bind(versions)
        .bind(checksums)
        .execute(Unnamed(transaction))
        .await?;
    Ok(())
}

/// The migrator prepares named statements, which must not stay behind on a pooler's server.
async fn forget_statements(transaction: &mut Transaction<'_>) -> Result<(), sqlx::Error> {
    let forgetting = transaction.inner.clear_cached_statements();
    transaction.deadline.bound(forgetting).await
}

async fn backend(transaction: &mut Transaction<'_>) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT pg_backend_pid() AS "pid!""#)
        .fetch_one(Unnamed(transaction))
        .await
}

fn label(migration: &sqlx::migrate::Migration) -> String {
    format!("{:04} {}", migration.version, migration.description)
}

fn lost_a_lock(error: &MigrationFailed) -> bool {
    matches!(error.sqlstate().as_deref(), Some("55P03" | "40P01"))
}

impl MigrationFailed {
    fn sqlstate(&self) -> Option<String> {
        self.database_error().and_then(sqlstate)
    }

    /// Whether the connection to the database is lost.
    pub fn is_unreachable(&self) -> bool {
        let error = self.database_error();
        error.is_some_and(|error| ErrorClass::of(error) == ErrorClass::Unreachable)
    }

    fn database_error(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Migration(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            )
            | Self::Database(error)
            | Self::Index { source: error, .. } => Some(error),
            _ => None,
        }
    }
}

fn describe(error: &MigrateError) -> String {
    match error {
        MigrateError::Execute(error) => said(error),
        MigrateError::ExecuteMigration(error, version) => {
            format!("migration {version:04}: {}", said(error))
        }
        MigrateError::VersionMissing(version) => format!(
            "the database has migration {version:04}, which this version does not know: it is older \
             than the one that migrated"
        ),
        other => other.to_string(),
    }
}

/// What the role lacks to migrate, and who has it.
pub async fn owners(transaction: &mut Transaction<'_>) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_file_scalar!("src/db/migrate/owners.sql")
        .fetch_all(Unnamed(transaction))
        .await
}

/// Says who could have done it.
async fn not_owner(session: &mut Session, error: MigrationFailed) -> MigrationFailed {
    let said = error.to_string();
    let look = async {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        let role = sqlx::query_scalar!(r#"SELECT current_user::text AS "role!""#)
            .fetch_one(Unnamed(&mut transaction))
            .await?;
        Ok::<_, sqlx::Error>((role, owners(&mut transaction).await?))
    };
    match look.await {
        Ok((role, owners)) if !owners.is_empty() => {
            MigrationFailed::NotOwner { role, said, owners }
        }
        _ => error,
    }
}
