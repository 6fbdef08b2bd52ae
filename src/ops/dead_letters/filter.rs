//! Selects dead letters.

use std::time::Duration;

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

use crate::channels::Channel;
use crate::handlers::EventType;
use crate::ops::excerpt;

/// The status of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetterStatus {
    /// It failed for good.
    Dead,
    /// It may have arrived or not.
    Uncertain,
}

impl DeadLetterStatus {
    /// As `notification_deliveries.status` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Uncertain => "uncertain",
        }
    }
}

/// Selects dead letters; each criterion that is set narrows the selection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// These deliveries.
    pub ids: Option<Vec<i64>>,
    /// Of these channels.
    pub channels: Option<Vec<Channel>>,
    /// Of events of these types, in any spelling; `digest` for digests.
    pub event_types: Option<Vec<String>>,
    /// With these statuses.
    pub statuses: Option<Vec<DeadLetterStatus>>,
    /// Whose reason or code has this in it, letter by letter; `…` stands for anything.
    pub error: Option<String>,
    /// That ended longer ago than this.
    pub older_than: Option<Duration>,
    /// That ended less long ago than this.
    pub newer_than: Option<Duration>,
    /// To these endpoints, by name or identifier, targets, or people, by identifier.
    pub targets: Option<Vec<String>>,
}

/// The head of a statement, which [`DeadLetterFilter::bind`] gives its values.
macro_rules! with_matching {
    ($statement:literal) => {
        concat!(include_str!("matching.sql"), include_str!($statement))
    };
}
pub(super) use with_matching;

impl DeadLetterFilter {
    /// Whether it selects all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Binds it as `$1` to `$8`.
    pub(super) fn bind<'q, O>(
        &self,
        query: QueryAs<'q, Postgres, O, PgArguments>,
    ) -> QueryAs<'q, Postgres, O, PgArguments> {
        let names = |kinds: &Vec<Channel>| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>();
        let spellings = |names: &Vec<String>| {
            let names = names.iter();
            names
                .flat_map(|name| EventType::spellings_of(name))
                .collect::<Vec<_>>()
        };
        let statuses = |statuses: &Vec<DeadLetterStatus>| {
            statuses
                .iter()
                .map(|statuses| statuses.name())
                .collect::<Vec<_>>()
        };
        query
            .bind(self.ids.clone())
            .bind(self.channels.as_ref().map(names))
            .bind(self.event_types.as_ref().map(spellings))
            .bind(self.statuses.as_ref().map(statuses))
            .bind(self.error.as_deref().map(excerpt::pattern))
            .bind(self.older_than.map(|age| age.as_secs_f64()))
            .bind(self.newer_than.map(|age| age.as_secs_f64()))
            .bind(self.targets.clone())
    }
}
