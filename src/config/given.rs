//! What was given for each variable, and where.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use serde::Serialize;

use super::InvalidConfig;
use super::variable::Variable;

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
    /// Takes the `variables` that the environment has once `.env` was added to it; `before` are the
    /// names that it had without.
    pub(super) fn collect(
        variables: &[Variable],
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
            let known = variables.iter().find(|variable| variable.name == name);
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

    /// As it would be if `.env` held these.
    pub(crate) fn with_dotenv(&self, pairs: Vec<(String, String)>) -> Self {
        let texts = self.texts.clone().into_iter();
        let mut given = Self {
            texts: texts
                .filter(|(_, (_, origin))| *origin != Origin::DotEnv)
                .collect(),
            unknown: Vec::new(),
            wrong: Vec::new(),
        };
        for (name, text) in pairs {
            let known = super::VARIABLES
                .iter()
                .find(|variable| variable.name == name);
            if let Some(known) = known.filter(|known| !given.texts.contains_key(known.name)) {
                given.set(known.name, text, Origin::DotEnv);
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

/// Reads one variable of the list after the other, and collects what is wrong with them.
pub(super) struct Reader<'a> {
    given: &'a Given,
    variables: std::slice::Iter<'static, Variable>,
    pub(super) wrong: Vec<InvalidConfig>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(given: &'a Given, variables: &'static [Variable]) -> Self {
        Self {
            given,
            variables: variables.iter(),
            wrong: given.wrong.clone(),
        }
    }

    pub(super) fn optional<T>(&mut self, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        let variable = self.variables.next()?;
        let text = self.given.text(variable.name)?;
        parse(text)
            .map_err(|problem| self.wrong.push(variable.invalid(problem, text)))
            .ok()
    }

    /// A wrong value is replaced by the default, so that all others can be read.
    pub(super) fn required<T>(&mut self, default: &str, parse: fn(&str) -> Result<T, String>) -> T {
        self.optional(parse)
            .unwrap_or_else(|| parse(default).expect("a default that a test reads"))
    }
}

fn is_ours(name: &str) -> bool {
    // That one is systemd's.
    name != "NOTIFY_SOCKET" && (name.starts_with("NOTIFY_") || name.starts_with("NOTIFICATIONS_"))
}
