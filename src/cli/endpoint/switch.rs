//! `endpoint disable`, `endpoint enable` and `endpoint remove`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::Db;
use crate::cli::human::counted;
use crate::cli::output;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::domain::text::plain;
use crate::endpoints::Routes;
use crate::endpoints::store::{self, Change};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The endpoint, by name or id, or env:slack and the like
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint disable ops --reason 'moving rooms'
  notify-fan-out endpoint disable env:slack

Its pending deliveries are cancelled (code endpoint_disabled), and nothing new is queued
for it until it is enabled. A message in flight is still sent.")]
pub(super) struct DisableArguments {
    /// The endpoint, by name or id, or env:slack and the like
    #[arg(value_name = "NAME")]
    name: String,
    /// Why; shown by list and show
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn disable(
    arguments: &DisableArguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let name = arguments.name.as_str();
    let reason = arguments.reason.as_deref().map(plain).unwrap_or_default();
    let reason = match reason.as_str() {
        "" => "manually".to_owned(),
        reason => format!("manually: {reason}"),
    };
    let routes = config.routes()?;
    let route = route(name, &routes)?;
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    let change = db
        .transact(Access::ReadWrite, async |connection| match &route {
            Some(route) => store::disable_route(connection, route, &reason).await,
            None => store::disable(connection, name, &reason).await,
        })
        .await?;
    report(&mut db, name, &routes, change, "disabled", format).await
}

pub(super) async fn enable(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let name = arguments.name.as_str();
    let routes = config.routes()?;
    let route = route(name, &routes)?;
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    let change = db
        .transact(Access::ReadWrite, async |connection| match &route {
            Some(route) => store::enable_route(connection, route).await,
            None => store::enable(connection, name).await,
        })
        .await?;
    report(&mut db, name, &routes, change, "enabled", format).await
}

pub(super) async fn remove(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let name = arguments.name.as_str();
    let routes = config.routes()?;
    if let Some(route) = routes.get(name) {
        let variables = route.channel.spec().route;
        let variable = variables.map_or("its variable", |variables| variables.address);
        return Err(Failure::Refused(format!(
            "{name} is a route of the environment; take out {variable} there"
        )));
    }
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    let change = db
        .transact(Access::ReadWrite, async |connection| {
            store::remove(connection, name).await
        })
        .await?;
    report(&mut db, name, &routes, change, "removed", format).await
}

/// The route of this name, by its own name, if it can be switched here.
fn route(name: &str, routes: &Routes) -> Result<Option<String>, Failure> {
    let Some(route) = routes.get(name) else {
        return Ok(None);
    };
    if route.destination.is_some() {
        return Ok(Some(route.name.clone()));
    }
    let variables = route.channel.spec().route;
    let switch = variables.map_or("its variable", |variables| variables.switch);
    Err(Failure::Refused(format!(
        "{name} is switched off in the environment, by {switch}"
    )))
}

async fn report(
    db: &mut Db,
    name: &str,
    routes: &Routes,
    change: Change,
    done: &str,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let (changed, cancelled) = match change {
        Change::Done { cancelled } => (true, cancelled),
        Change::Already => (false, 0),
        Change::Unknown => return Err(db.unknown(name, routes).await?),
    };
    let report = Switched {
        name,
        state: done,
        changed,
        cancelled_count: cancelled,
    };
    output::emit(&report, format)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Switched<'a> {
    name: &'a str,
    state: &'a str,
    changed: bool,
    cancelled_count: u64,
}

impl fmt::Display for Switched<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state, .. } = self;
        match (self.changed, self.cancelled_count) {
            (false, _) => write!(f, "{name} was {state} already; nothing was changed."),
            (true, 0) => write!(f, "{name} is {state}."),
            (true, cancelled) => {
                let were = counted(cancelled, "pending delivery was", "pending deliveries were");
                write!(f, "{name} is {state}; {were} cancelled.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_changed() {
        let switched = |name, state, changed, cancelled_count| {
            let report = Switched {
                name,
                state,
                changed,
                cancelled_count,
            };
            report.to_string()
        };
        insta::assert_snapshot!(switched("ops", "enabled", true, 0), @"ops is enabled.");
        insta::assert_snapshot!(switched("ops", "disabled", true, 1), @"ops is disabled; 1 pending delivery was cancelled.");
        insta::assert_snapshot!(switched("ops", "removed", true, 2_000), @"ops is removed; 2,000 pending deliveries were cancelled.");
        insta::assert_snapshot!(switched("ops", "disabled", false, 0), @"ops was disabled already; nothing was changed.");
    }
}
