//! What was given for each variable, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use serde::Serialize;

use super::InvalidConfig;
use super::variables::VARIABLES;

/// Where a value comes from. A flag wins over the environment, the environment over `.env`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    Flag,
    Environment,
    DotEnv,
    Default,
}

/// The text that was given for each variable. An empty one counts as not given.
#[derive(Debug, Default)]
pub(crate) struct Given {
    texts: BTreeMap<&'static str, (String, Origin)>,
    /// Variables with one of the service's prefixes that nothing reads: most likely misspelt.
    pub(crate) unknown: Vec<String>,
    pub(super) wrong: Vec<InvalidConfig>,
}

impl Given {
    /// Takes what the environment has once `.env` was added to it; `before` are the names that it had
    /// without.
    pub(crate) fn collect(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        before: &BTreeSet<OsString>,
    ) -> Self {
        let mut given = Self::default();
        for (name, value) in environment {
            let origin = if before.contains(&name) {
                Origin::Environment
            } else {
                Origin::DotEnv
            };
            let Ok(name) = name.into_string() else {
                continue;
            };
            let known = VARIABLES.iter().find(|variable| variable.name == name);
            match (known, value.into_string()) {
                (Some(known), Ok(text)) => given.set(known.name, text, origin),
                (Some(known), Err(_)) => given
                    .wrong
                    .push(InvalidConfig::new(known.name, "must be UTF-8".to_owned())),
                (None, _) if is_ours(&name) => given.unknown.push(name),
                (None, _) => {}
            }
        }
        given
    }

    pub(crate) fn set(&mut self, variable: &'static str, text: String, origin: Origin) {
        if !text.trim().is_empty() {
            self.texts.insert(variable, (text, origin));
        }
    }

    pub(crate) fn text(&self, variable: &str) -> Option<&str> {
        self.texts.get(variable).map(|(text, _)| text.trim())
    }

    pub(crate) fn origin(&self, variable: &str) -> Origin {
        let given = self.texts.get(variable);
        given.map_or(Origin::Default, |(_, origin)| *origin)
    }
}

fn is_ours(name: &str) -> bool {
    // That one is systemd's.
    name != "NOTIFY_SOCKET" && (name.starts_with("NOTIFY_") || name.starts_with("NOTIFICATIONS_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variables_are_found() {
        let names = [
            "NOTIFY_FANOUT_BATCHSIZE",
            "NOTIFY_FANOUT_BATCH_SIZE",
            "NOTIFY_SOCKET",
            "NOTIFICATIONS_SLACK_URL",
            "PATH",
        ];
        let environment = names.map(|name| (name.into(), "1".into()));
        let given = Given::collect(environment, &BTreeSet::new());
        let unknown = ["NOTIFY_FANOUT_BATCHSIZE", "NOTIFICATIONS_SLACK_URL"];
        assert_eq!(given.unknown, unknown);
    }
}
