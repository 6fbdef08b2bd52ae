//! Asking the database which events of a batch it refuses: it tries each of them alone, in one round
//! trip, and forgets what it wrote.

use std::borrow::Cow;
use std::error::Error as StdError;

use serde::Deserialize;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::types::Json;

use super::FanOutSettings;
use super::decode::DecodedEvent;
use super::resolve::{Part, bind_plans, with_resolve};
use super::write::Prepared;
use crate::db::{Transaction, Unnamed};

const PROBE: &str = with_resolve!("probe.sql");
const PROBE_EACH: &str = include_str!("probe_each.sql");

/// An event that can't be written, or the first one that was not tried.
#[derive(Debug, Deserialize)]
struct Found {
    event_id: i64,
    error: Option<CaughtError>,
}

/// An error of the database that its own block has caught.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{message}")]
struct CaughtError {
    code: String,
    message: String,
}

impl DatabaseError for CaughtError {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.code))
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// Events that the database refuses, each with its error.
pub(super) type Refused<'e> = Vec<(&'e DecodedEvent, sqlx::Error)>;

/// Tries events (ascending), which were prepared. Returns how many of them there was time for, and
/// which of these are refused.
pub(super) async fn probe<'e>(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    prepared: &Prepared<'_>,
    events: &[&'e DecodedEvent],
) -> Result<(usize, Refused<'e>), sqlx::Error> {
    transaction.command("SAVEPOINT probe").await?;
    let kept = sqlx::query_as::<_, (i32,)>(PROBE);
    let plans = &prepared.plans.planned;
    bind_plans(kept, plans, Part::default(), settings, false)
        .fetch_one(Unnamed(transaction))
        .await?;
    transaction.command(PROBE_EACH).await?;
    let found = sqlx::query_scalar!(
        r#"SELECT current_setting('notify_fan_out.probe')::jsonb AS "found!: Json<Vec<Found>>""#
    )
    .fetch_one(Unnamed(transaction))
    .await?;
    let undo = "ROLLBACK TO probe; RELEASE probe";
    transaction.command(undo).await?;
    let (mut tried, mut refused) = (events.len(), Vec::new());
    for Found { event_id, error } in found.0 {
        let place = events.partition_point(|event| event.event_id < event_id);
        match error {
            Some(error) => refused.push((events[place], sqlx::Error::database(error))),
            None => tried = place,
        }
    }
    Ok((tried, refused))
}
