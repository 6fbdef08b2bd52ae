//! Test data that can be distinguished from all other data, and removed again.
//!
//! Every identifier that the seed makes begins with `5eed5eed-fa11-4`. The rows of the world stay
//! as they are where they exist; events are added each time. All of it is one transaction: a
//! database that can't hold the world is left as it was.

mod clear;
mod world;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

pub use clear::clear;

use crate::db::{Access, Database, Transaction, Unnamed};
use crate::handlers::EventType;

/// The least and the greatest identifier that the seed makes.
const FIRST: Uuid = Uuid::from_u128(0x5eed_5eed_fa11_4000_8000_0000_0000_0000);
const LAST: Uuid = Uuid::from_u128(0x5eed_5eed_fa11_4fff_8fff_ffff_ffff_ffff);

/// From how many events on the new rows are analyzed at once.
const ANALYZE_FROM: u32 = 1_000;

/// How much to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The readable world and the samples of the event types that are no operator events.
    Small,
    /// The same world and the samples of the operator events.
    Operator,
    /// So many events of a mixed load, and a world that grows with them.
    Load(u32),
}

/// Rows of one kind: of a relation, or of an event type.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    pub name: String,
    pub rows: i64,
}

/// What was inserted.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Seeded {
    /// Rows that the world lacked, by relation.
    pub world: Vec<Count>,
    /// Events, by type.
    pub events: Vec<Count>,
}

/// Why nothing was inserted or removed.
#[derive(Debug, thiserror::Error)]
pub enum SeedFailed {
    /// The application's tables have another form.
    #[error("the test world can't be put into this database: {}", .0.join("; "))]
    Unsuitable(Vec<String>),
    /// There are no tables yet.
    #[error("this database has no schema yet; first run: notify-fan-out migrate")]
    NotMigrated,
    /// The database refused a row.
    #[error("the database refused it, and nothing was changed: {0}")]
    Refused(String),
    /// Anything else.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl SeedFailed {
    /// Constraints, types and triggers of the application concern the data; the rest does not.
    fn of(error: sqlx::Error) -> Self {
        let concerns_data = |code: &str| {
            ["22", "23", "42804", "428C9", "P0001"]
                .iter()
                .any(|class| code.starts_with(class))
        };
        match error.as_database_error() {
            Some(refusal) if refusal.code().is_some_and(|code| concerns_data(&code)) => {
                Self::Refused(refusal.message().to_owned())
            }
            _ => Self::Database(error),
        }
    }
}

/// Inserts what is asked for. `None`: `only_if_empty`, and there are events.
pub async fn seed(
    database: &Database,
    size: Size,
    only_if_empty: bool,
) -> Result<Option<Seeded>, SeedFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadWrite).await?;
    if !is_wanted(&mut transaction, only_if_empty).await? {
        return Ok(None);
    }
    let seeded = insert(&mut transaction, size)
        .await
        .map_err(SeedFailed::of)?;
    transaction.commit().await.map_err(SeedFailed::of)?;
    session.close().await?;
    Ok(Some(seeded))
}

/// The relations that hold rows which the seed has not made. None where [`seed`] would insert
/// nothing: `only_if_empty`, and there are events.
pub async fn foreign_rows(
    database: &Database,
    only_if_empty: bool,
) -> Result<Vec<String>, SeedFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin(Access::ReadOnly).await?;
    if !is_wanted(&mut transaction, only_if_empty).await? {
        return Ok(Vec::new());
    }
    let relations = world::foreign(&mut transaction).await?;
    transaction.rollback().await?;
    session.close().await?;
    Ok(relations)
}

/// Whether there is something to insert, into a database that can hold it.
async fn is_wanted(
    connection: &mut Transaction<'_>,
    only_if_empty: bool,
) -> Result<bool, SeedFailed> {
    if !is_migrated(connection).await? {
        return Err(SeedFailed::NotMigrated);
    }
    if only_if_empty && has_events(connection).await? {
        return Ok(false);
    }
    let obstacles = world::obstacles(connection).await?;
    if obstacles.is_empty() {
        Ok(true)
    } else {
        Err(SeedFailed::Unsuitable(obstacles))
    }
}

async fn is_migrated(connection: &mut Transaction<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT to_regclass('notification_processing') IS NOT NULL AS "is_migrated!""#
    )
    .fetch_one(Unnamed(connection))
    .await
}

async fn has_events(connection: &mut Transaction<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM domain_events) AS "has_events!""#)
        .fetch_one(Unnamed(connection))
        .await
}

async fn insert(connection: &mut Transaction<'_>, size: Size) -> Result<Seeded, sqlx::Error> {
    let Size::Load(events) = size else {
        return Ok(Seeded {
            world: world::insert(connection).await?,
            events: samples(connection, size == Size::Operator).await?,
        });
    };
    let number = i64::from(events);
    let seeded = Seeded {
        world: sqlx::query_file_as!(Count, "seed/load_world.sql", number)
            .fetch_all(Unnamed(connection))
            .await?,
        events: sqlx::query_file_as!(Count, "seed/load_events.sql", number)
            .fetch_all(Unnamed(connection))
            .await?,
    };
    if events >= ANALYZE_FROM {
        // A role without the right to do this only gets a warning.
        let analyze = format!("ANALYZE {}", world::relations().join(", "));
        connection.command(AssertSqlSafe(analyze)).await?;
    }
    Ok(seeded)
}

/// Inserts the samples of the operator events, or those of the others.
async fn samples(
    connection: &mut Transaction<'_>,
    operator: bool,
) -> Result<Vec<Count>, sqlx::Error> {
    let types = EventType::ALL
        .iter()
        .filter(|known| known.is_operator() == operator);
    let rows = types.flat_map(|known| known.samples()).enumerate();
    let events = rows.map(|(place, row)| {
        json!({
            "place": place,
            "event_type": row.event_type,
            "actor_id": row.actor_id,
            "project_id": row.project_id,
            "org_id": row.org_id,
            "resource_id": row.resource_id,
            "thread_id": row.thread_id,
            "meeting_id": row.meeting_id,
            "payload": row.payload,
        })
    });
    let events: Value = events.collect();
    sqlx::query_file_as!(Count, "seed/events.sql", events)
        .fetch_all(Unnamed(connection))
        .await
}
