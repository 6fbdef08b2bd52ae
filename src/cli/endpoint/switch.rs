//! `endpoint disable`, `endpoint enable` and `endpoint remove`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{Db, Named};
use crate::cli::human::counted;
use crate::cli::output;
use crate::cli::{Exit, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::domain::text::plain;
use crate::endpoints::Route;
use crate::endpoints::store;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint disable ops --reason 'moving rooms'
  notify-fan-out endpoint disable env:slack

Its pending deliveries are cancelled (code endpoint_disabled), and nothing new is queued
for it until it is enabled. A message in flight is still sent.")]
pub(super) struct DisableArguments {
    #[command(flatten)]
    endpoint: Named,
    /// Why; shown by list and show
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl DisableArguments {
    pub(super) fn into_parts(self) -> (Switch, Named) {
        let reason = self.reason.as_deref().map(plain).unwrap_or_default();
        let reason = match reason.as_str() {
            "" => "manually".to_owned(),
            reason => format!("manually: {reason}"),
        };
        (Switch::Disable(reason), self.endpoint)
    }
}

pub(super) enum Switch {
    /// With the reason.
    Disable(String),
    Enable,
    Remove,
}

impl Switch {
    /// The own name of a route that it can be done to.
    fn route(&self, name: &str, route: &Route) -> Result<String, Failure> {
        let variables = route.channel.spec().route;
        let why = match (self, variables) {
            (Self::Remove, variables) => {
                let variable = variables.map_or("its variable", |variables| variables.address);
                format!("{name} is a route of the environment; take out {variable} there")
            }
            _ if route.destination.is_some() => return Ok(route.name.clone()),
            (_, variables) => {
                let variable = variables.map_or("its variable", |variables| variables.switch);
                format!("{name} is switched off in the environment, by {variable}")
            }
        };
        Err(Failure::Refused(why))
    }
}

pub(super) async fn execute(
    switch: Switch,
    endpoint: Named,
    config: &Config,
    format: Format,
) -> Exit {
    let name = endpoint.name.as_str();
    let routes = config.routes()?;
    let route = routes.get(name).map(|route| switch.route(name, route));
    let route = route.transpose()?;
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    let change = db
        .transact(Access::ReadWrite, async |connection| {
            match (&switch, &route) {
                (Switch::Disable(reason), Some(route)) => {
                    store::disable_route(connection, route, reason).await
                }
                (Switch::Disable(reason), None) => store::disable(connection, name, reason).await,
                (Switch::Enable, Some(route)) => store::enable_route(connection, route).await,
                (Switch::Enable, None) => store::enable(connection, name).await,
                (Switch::Remove, _) => store::remove(connection, name).await,
            }
        })
        .await?;
    if !change.is_known {
        return Err(db.unknown(name, &routes).await?);
    }
    let state = match switch {
        Switch::Disable(_) => "disabled",
        Switch::Enable => "enabled",
        Switch::Remove => "removed",
    };
    let report = Switched {
        name,
        state,
        changed: change.changed,
        cancelled_count: change.cancelled_count.unsigned_abs(),
    };
    output::done(&report, format)
}

#[derive(Serialize)]
struct Switched<'a> {
    name: &'a str,
    state: &'static str,
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
