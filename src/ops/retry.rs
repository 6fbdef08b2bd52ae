//! Requeues or discards failed events.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::dead_letters::Action;
use super::excerpt;
use super::pages::pages;
use crate::db::{Access, Session, Transaction, Unnamed};
use crate::handlers::EventType;

/// Events changed in one transaction.
const BATCH: i64 = 1_000;

/// Selects failed events; each criterion that is set narrows the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// These events.
    pub event_ids: Option<Vec<i64>>,
    /// Events of these types, in any spelling.
    pub event_types: Option<Vec<String>>,
    /// Events whose error has this in it, letter by letter; `…` stands for anything.
    pub error: Option<String>,
}

impl EventFilter {
    fn spellings(&self) -> Option<Vec<String>> {
        let names = self.event_types.as_ref()?.iter();
        Some(
            names
                .flat_map(|name| EventType::spellings_of(name))
                .collect(),
        )
    }

    fn error_pattern(&self) -> Option<String> {
        self.error.as_deref().map(excerpt::pattern)
    }
}

/// What was changed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetryReport {
    /// How many events.
    pub retried_count: u64,
    /// How many of each type.
    pub retried_count_by_type: BTreeMap<String, u64>,
    /// Events that were named by identifier and stay as they are.
    pub not_retried: Vec<NotRetried>,
    /// Whether it ended before all were changed.
    pub stopped_early: bool,
}

/// An event that was named and stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotRetried {
    /// The event.
    pub event_id: i64,
    /// Its state.
    pub state: EventState,
}

/// The state of an event that stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EventState {
    /// Waits for its first or next attempt.
    Pending,
    /// Is claimed.
    Processing,
    /// Is done.
    Completed,
    /// Is done, and its processing row was pruned.
    CompletedAndPruned,
    /// Failed, but another filter excludes it.
    FailedButFilteredOut,
    /// Has no processing row: `migrate` enqueues it.
    NotEnqueued,
    /// There is none.
    NoSuchEvent,
    /// A state that an older job left and this one does not know.
    Unknown,
}

/// Requeues the events chosen, as if they had never been tried, their age counted from now; or
/// completes them without effect, so that `prune` takes them.
///
/// Batch by batch in the order of their identifiers, each event once: what fails again meanwhile
/// stays failed. After an error, or when `stop` is cancelled, the report has what was changed
/// by then.
pub async fn apply(
    session: &mut Session,
    action: Action,
    filter: &EventFilter,
    stop: &CancellationToken,
) -> (RetryReport, Result<(), sqlx::Error>) {
    let mut report = RetryReport {
        stopped_early: true,
        ..RetryReport::default()
    };
    let result = async {
        let mut transaction = session.begin(Access::ReadOnly).await?;
        report.not_retried = untouched(&mut transaction, action, filter).await?;
        transaction.commit().await?;
        let page = async |transaction: &mut Transaction<'_>, report: &mut _, from| {
            page(transaction, action, filter, from, report).await
        };
        let is_done = pages(session, stop, &mut report, i64::MIN, page, &mut |_| {}).await?;
        report.stopped_early = !is_done;
        Ok(())
    };
    let result = result.await;
    (report, result)
}

/// Changes a page; where the next begins, if there was one.
async fn page(
    transaction: &mut Transaction<'_>,
    action: Action,
    filter: &EventFilter,
    from: i64,
    report: &mut RetryReport,
) -> Result<Option<i64>, sqlx::Error> {
    let statement = match action {
        Action::Retry => include_str!("retry/retry.sql"),
        Action::Discard => include_str!("retry/discard.sql"),
    };
    let mut query = sqlx::query_as(statement)
        .bind(filter.event_ids.as_deref())
        .bind(filter.spellings())
        .bind(filter.error_pattern())
        .bind(from)
        .bind(BATCH);
    if action == Action::Retry {
        query = query.bind(corrected_types(action));
    }
    let types: Vec<(String, Vec<i64>)> = query.fetch_all(Unnamed(transaction)).await?;
    let mut last = None;
    for (event_type, event_ids) in types {
        tracing::debug!(?action, event_type, ?event_ids, "decided manually");
        last = last.max(event_ids.last().copied());
        report.add(event_type, event_ids.len() as u64);
    }
    Ok(last.and_then(|id| id.checked_add(1)))
}

/// Counts what would be changed, in a transaction that cannot write.
pub async fn count_matching(
    session: &mut Session,
    action: Action,
    filter: &EventFilter,
) -> Result<RetryReport, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let mut report = RetryReport {
        not_retried: untouched(&mut transaction, action, filter).await?,
        ..RetryReport::default()
    };
    let event_types = filter.spellings();
    let types = sqlx::query_file!(
        "src/ops/retry/dry_run.sql",
        filter.event_ids.as_deref(),
        event_types.as_deref(),
        filter.error_pattern(),
        &corrected_types(action),
    )
    .fetch_all(Unnamed(&mut transaction))
    .await?;
    transaction.commit().await?;
    for of_type in types {
        report.add(of_type.event_type, of_type.events.unsigned_abs());
    }
    Ok(report)
}

async fn untouched(
    connection: &mut Transaction<'_>,
    action: Action,
    filter: &EventFilter,
) -> Result<Vec<NotRetried>, sqlx::Error> {
    let Some(event_ids) = filter.event_ids.as_deref() else {
        return Ok(Vec::new());
    };
    let event_types = filter.spellings();
    sqlx::query_file_as!(
        NotRetried,
        "src/ops/retry/untouched.sql",
        event_ids,
        event_types.as_deref(),
        filter.error_pattern(),
        &corrected_types(action),
    )
    .fetch_all(Unnamed(connection))
    .await
}

/// The types that an event without a handler may have been corrected to: a retry takes such events
/// too, which would otherwise wait for a run to find them.
fn corrected_types(action: Action) -> Vec<String> {
    match action {
        Action::Retry => EventType::all_spellings(),
        Action::Discard => Vec::new(),
    }
}

impl RetryReport {
    fn add(&mut self, event_type: String, events: u64) {
        self.retried_count += events;
        *self.retried_count_by_type.entry(event_type).or_default() += events;
    }
}
