//! Bulk actions: retry or discard failed events, or dead letters.

mod filter;

pub use filter::{CommonFilter, DeadLetterStatus, Filter, is_distinctive};

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::pages::pages;
use crate::db::{Access, Session, Transaction, Unnamed};
use crate::handlers::EventType;

/// Rows changed in one transaction.
const BATCH: i64 = 1_000;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Items {
    FailedEvents,
    DeadLetters,
}

/// What to do with the items that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Requeue them, as if never tried; the age of events counts from now.
    Retry,
    /// Complete events without effect, so that `prune` takes them; cancel deliveries.
    Discard,
}

/// What was changed, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkReport {
    pub items: Items,
    pub action: Action,
    pub dry_run: bool,
    pub count: u64,
    /// By event type, or by channel.
    pub count_by_name: BTreeMap<String, u64>,
    /// Of the dead letters: may have arrived already.
    pub uncertain_count: u64,
    /// Of the dead letters: their endpoint is disabled or gone.
    pub to_disabled_count: u64,
    /// Queued e-mails that the dead letters carry.
    pub emails_count: u64,
    /// What was named by identifier and stays as it is.
    pub unchanged: Vec<Unchanged>,
    /// Whether it ended before all were changed.
    pub stopped_early: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Unchanged {
    pub id: i64,
    pub state: State,
}

/// The state of an event or a delivery that stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// Waits for its first or next attempt.
    Pending,
    Processing,
    Completed,
    CompletedAndPruned,
    FailedButFilteredOut,
    /// Has no processing row: `migrate` enqueues it.
    NotEnqueued,
    NoSuchEvent,
    /// A state that an older job left and this one does not know.
    Unknown,
    Sending,
    Delivered,
    /// Was not to be sent any more, or was discarded.
    Cancelled,
    /// Is a dead letter, but another filter excludes it.
    FilteredOut,
    NoSuchDelivery,
}

/// The statements of the items: each begins with what matches.
struct Statements {
    retry: &'static str,
    discard: &'static str,
    dry_run: &'static str,
    unchanged: &'static str,
}

macro_rules! statements {
    ($folder:literal) => {
        Statements {
            retry: statements!($folder, "/retry.sql", "/changed.sql"),
            discard: statements!($folder, "/discard.sql", "/changed.sql"),
            dry_run: statements!($folder, "/dry_run.sql", "/changed.sql"),
            unchanged: statements!($folder, "/unchanged.sql"),
        }
    };
    ($folder:literal, $($file:literal),+) => {
        concat!(
            include_str!(concat!("bulk/", $folder, "/matching.sql")),
            $(include_str!(concat!("bulk/", $folder, $file))),+
        )
    };
}

const EVENTS: Statements = statements!("events");
const DELIVERIES: Statements = statements!("deliveries");

/// An event type or channel of what was changed.
#[derive(sqlx::FromRow)]
struct Changed {
    name: Option<String>,
    ids: Option<Vec<i64>>,
    uncertain: i64,
    to_disabled: i64,
    /// The same in each row, as the next.
    emails: i64,
    /// The last of the page, if there was one.
    reached: Option<i64>,
}

/// An action on all items that match.
#[derive(Debug, Clone, Copy)]
pub struct BulkAction<'a> {
    pub items: Items,
    pub action: Action,
    pub filter: &'a Filter,
}

impl BulkAction<'_> {
    /// Changes batch by batch in the order of identifiers, each item once: what fails again meanwhile
    /// stays failed. After an error, or when `stop` is cancelled, the report has what was changed by
    /// then.
    pub async fn execute(
        self,
        session: &mut Session,
        stop: &CancellationToken,
    ) -> (BulkReport, Result<(), sqlx::Error>) {
        let mut report = self.report(false);
        report.stopped_early = true;
        let result = async {
            let mut transaction = session.begin(Access::ReadOnly).await?;
            report.unchanged = self.unchanged(&mut transaction).await?;
            transaction.commit().await?;
            let page = async |transaction: &mut Transaction<'_>, report: &mut _, from| {
                self.page(transaction, report, from).await
            };
            let is_done = pages(session, stop, &mut report, i64::MIN, page, &mut |_| {}).await?;
            report.stopped_early = !is_done;
            Ok(())
        };
        let result = result.await;
        (report, result)
    }

    /// Counts what would be changed, in a transaction that cannot write.
    pub async fn dry_run(self, session: &mut Session) -> Result<BulkReport, sqlx::Error> {
        let mut report = self.report(true);
        let mut transaction = session.begin(Access::ReadOnly).await?;
        report.unchanged = self.unchanged(&mut transaction).await?;
        let rows = self.bind(sqlx::query_as(self.statements().dry_run));
        report.add(rows.fetch_all(Unnamed(&mut transaction)).await?);
        transaction.rollback().await?;
        Ok(report)
    }

    /// Changes a page; where the next begins, if there was one.
    async fn page(
        self,
        transaction: &mut Transaction<'_>,
        report: &mut BulkReport,
        from: i64,
    ) -> Result<Option<i64>, sqlx::Error> {
        let statement = match self.action {
            Action::Retry => self.statements().retry,
            Action::Discard => self.statements().discard,
        };
        let query = self.bind(sqlx::query_as(statement)).bind(from).bind(BATCH);
        let rows: Vec<Changed> = query.fetch_all(Unnamed(transaction)).await?;
        for Changed { name, ids, .. } in rows.iter().filter(|row| row.ids.is_some()) {
            tracing::debug!(action = ?self.action, items = ?self.items, name, ?ids, "decided manually");
        }
        let reached = rows.first().and_then(|row| row.reached);
        report.add(rows);
        Ok(reached.and_then(|id| id.checked_add(1)))
    }

    async fn unchanged(
        self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<Unchanged>, sqlx::Error> {
        if self.filter.common.ids.is_empty() && self.filter.more_ids.is_empty() {
            return Ok(Vec::new());
        }
        let query = self.bind(sqlx::query_as(self.statements().unchanged));
        query.fetch_all(Unnamed(transaction)).await
    }

    const fn statements(self) -> &'static Statements {
        match self.items {
            Items::FailedEvents => &EVENTS,
            Items::DeadLetters => &DELIVERIES,
        }
    }

    /// Binds the filter, then whether to discard and the event types known, `$9` and `$10`.
    fn bind<O>(
        self,
        query: sqlx::query::QueryAs<'_, sqlx::Postgres, O, sqlx::postgres::PgArguments>,
    ) -> sqlx::query::QueryAs<'_, sqlx::Postgres, O, sqlx::postgres::PgArguments> {
        self.filter
            .bind(query)
            .bind(self.action == Action::Discard)
            .bind(EventType::all_spellings())
    }

    const fn report(self, dry_run: bool) -> BulkReport {
        BulkReport {
            items: self.items,
            action: self.action,
            dry_run,
            count: 0,
            count_by_name: BTreeMap::new(),
            uncertain_count: 0,
            to_disabled_count: 0,
            emails_count: 0,
            unchanged: Vec::new(),
            stopped_early: false,
        }
    }
}

impl BulkReport {
    fn add(&mut self, rows: Vec<Changed>) {
        self.emails_count += rows.first().map_or(0, |row| row.emails.unsigned_abs());
        for row in rows {
            let (Some(name), Some(ids)) = (row.name, row.ids) else {
                continue;
            };
            self.count += ids.len() as u64;
            *self.count_by_name.entry(name).or_default() += ids.len() as u64;
            self.uncertain_count += row.uncertain.unsigned_abs();
            self.to_disabled_count += row.to_disabled.unsigned_abs();
        }
    }

    fn unchanged(&self, key: &str) -> Vec<Value> {
        let rows = self.unchanged.iter();
        rows.map(|row| json!({ key: row.id, "state": row.state }))
            .collect()
    }
}

impl Serialize for BulkReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.items {
            Items::FailedEvents => {
                let changed = match self.action {
                    Action::Retry => "retried",
                    Action::Discard => "discarded",
                };
                map.serialize_entry("dry_run", &self.dry_run)?;
                map.serialize_entry(&format!("{changed}_count"), &self.count)?;
                map.serialize_entry(&format!("{changed}_count_by_type"), &self.count_by_name)?;
                map.serialize_entry(&format!("not_{changed}"), &self.unchanged("event_id"))?;
            }
            Items::DeadLetters => {
                map.serialize_entry("action", &self.action)?;
                map.serialize_entry("dry_run", &self.dry_run)?;
                map.serialize_entry("deliveries_count", &self.count)?;
                map.serialize_entry("deliveries_count_by_channel", &self.count_by_name)?;
                map.serialize_entry("uncertain_count", &self.uncertain_count)?;
                map.serialize_entry("to_disabled_count", &self.to_disabled_count)?;
                map.serialize_entry("emails_count", &self.emails_count)?;
                map.serialize_entry("not_touched", &self.unchanged("delivery_id"))?;
            }
        }
        map.serialize_entry("stopped_early", &self.stopped_early)?;
        map.end()
    }
}
