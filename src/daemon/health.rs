//! Whether the daemon can work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A part that needs the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Watcher,
    FanOut,
    Delivery,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Watcher => "watcher",
            Self::FanOut => "fan-out",
            Self::Delivery => "delivery",
        }
    }
}

/// What keeps each part from its work.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Empty for a part that works. A part is missing until it first worked.
    parts: Mutex<BTreeMap<Part, String>>,
}

impl Health {
    /// The part works.
    pub(super) fn works(&self, part: Part) {
        if self.set(part, "") {
            tracing::info!("{} works again", part.name());
        }
    }

    /// The part does not work, and tries again.
    pub(super) fn fails(&self, part: Part, problem: &str) {
        if !self.set(part, problem) {
            tracing::warn!("{} waits: {problem}", part.name());
        }
    }

    /// Whether it had a problem before. An empty problem is none.
    fn set(&self, part: Part, problem: &str) -> bool {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(part, problem.to_owned());
        before.is_some_and(|before| !before.is_empty())
    }

    /// Why the daemon is not ready; empty if it is.
    pub(super) fn problems(&self) -> Vec<String> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.is_empty() {
            return vec!["starting".to_owned()];
        }
        let problems = parts.iter().filter(|(_, problem)| !problem.is_empty());
        problems
            .map(|(part, problem)| format!("{}: {problem}", part.name()))
            .collect()
    }
}
