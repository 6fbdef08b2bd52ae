//! `endpoint list` and `endpoint show`.

use std::fmt;

use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{Db, Named};
use crate::channels::Destination;
use crate::cli::Exit;
use crate::cli::human::{aligned, utc};
use crate::cli::output::{self, Style};
use crate::config::{Config, Format};
use crate::db::{Access, Transaction};
use crate::endpoints::{
    Disabled, Encryption, Endpoint, EndpointScope, Route, Routes, Stored, StoredForm, store,
};

/// A route, and why it is disabled if it is.
fn shown_route(route: &Route, disabled: Option<&Disabled>) -> Endpoint {
    let target = route.destination.as_ref().map(ToString::to_string);
    let (enabled, disabled_reason, disabled_at) = match (&target, disabled) {
        // What a person did before does not matter while the environment has it off.
        (None, _) => (false, Some("by the environment".to_owned()), None),
        (Some(_), Some(disabled)) => (false, disabled.reason.clone(), disabled.at),
        (Some(_), None) => (true, None, None),
    };
    Endpoint {
        name: route.name.clone(),
        id: None,
        source: "environment".to_owned(),
        channel: route.channel.name().to_owned(),
        target,
        scope: EndpointScope::Global.name().to_owned(),
        scope_id: None,
        event_types: vec!["*".to_owned()],
        enabled,
        disabled_reason,
        disabled_at,
        created_at: None,
    }
}

impl Endpoint {
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or("–")
    }

    /// Whose events it receives.
    pub(super) fn scope(&self) -> String {
        match self.scope_id {
            Some(id) => format!("{} {id}", self.scope),
            None => self.scope.clone(),
        }
    }

    pub(super) fn events(&self) -> String {
        if self.event_types.iter().any(|event_type| event_type == "*") {
            "all".to_owned()
        } else {
            self.event_types.join(", ")
        }
    }

    /// Whether it is enabled, and else why not.
    fn state(&self) -> String {
        if self.enabled {
            return "on".to_owned();
        }
        let since = self.disabled_at.map(|at| format!(" since {}", utc(at)));
        let reason = self.disabled_reason.as_deref().unwrap_or("reason unknown");
        format!("disabled{}: {reason}", since.unwrap_or_default())
    }
}

/// The routes, with what the database knows of them.
async fn shown_routes(
    connection: &mut Transaction<'_>,
    routes: &Routes,
) -> Result<Vec<Endpoint>, sqlx::Error> {
    let disabled = store::disabled_routes(connection, &routes.targets()).await?;
    let shown = routes.iter();
    let shown = shown.map(|route| shown_route(route, disabled.get(&route.name)));
    Ok(shown.collect())
}

#[derive(Serialize)]
struct List {
    endpoints: Vec<Endpoint>,
}

pub(super) async fn list(config: &Config, format: Format) -> Exit {
    let routes = config.routes()?;
    let mut db = Db::open(config).await?;
    let endpoints = db
        .transact(Access::ReadOnly, async |connection| {
            let mut all = store::list(connection).await?;
            all.extend(shown_routes(connection, &routes).await?);
            Ok(all)
        })
        .await?;
    output::done(&List { endpoints }, format)
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoints.is_empty() {
            return f
                .write_str("There are no endpoints. Add one: notify-fan-out endpoint add --help");
        }
        let style = Style::of(f);
        let heading = ["name", "channel", "target", "scope", "events"].map(str::to_owned);
        let rows = self.endpoints.iter().map(|endpoint| {
            [
                endpoint.name.clone(),
                endpoint.channel.clone(),
                endpoint.target().to_owned(),
                endpoint.scope(),
                endpoint.events(),
            ]
        });
        let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
        let mut lines = aligned(&rows, 5).into_iter();
        let heading = lines.next().unwrap_or_default();
        writeln!(f, "{}", style.dim(&format!("{heading}  state")))?;
        for (endpoint, line) in self.endpoints.iter().zip(lines) {
            let state = endpoint.state();
            let state = if endpoint.enabled {
                style.good(&state)
            } else {
                style.warn(&state)
            };
            writeln!(f, "{line}  {state}")?;
        }
        Ok(())
    }
}

/// What is known of settings, without what is secret about them.
#[derive(Default, Serialize)]
struct Settings {
    /// Whether they are encrypted in the database; nothing of a route is there.
    encrypted: Option<bool>,
    /// Why they can't be used.
    error: Option<String>,
    /// Of a webhook, as are the following.
    method: Option<&'static str>,
    /// Names.
    headers: Vec<String>,
    secrets_count: Option<usize>,
}

impl Settings {
    fn of(stored: &Stored, encryption: &Encryption) -> Self {
        let opened = encryption.decrypt(stored.id, stored.settings.expose_secret());
        let is_plain = opened.is_ok_and(|opened| opened.form == StoredForm::Plain);
        let mut settings = Self {
            encrypted: Some(!is_plain),
            ..Self::default()
        };
        match stored.destination(encryption) {
            Ok(Destination::Webhook(target)) => {
                settings.method = Some(target.method.name());
                settings.headers = target.headers.names().map(str::to_owned).collect();
                settings.secrets_count = Some(target.secrets.len());
            }
            Ok(_) => {}
            Err(error) => settings.error = Some(error.to_string()),
        }
        settings
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    endpoint: Endpoint,
    settings: Settings,
}

pub(super) async fn show(endpoint: Named, config: &Config, format: Format) -> Exit {
    let (routes, encryption) = (config.routes()?, config.encryption()?);
    let mut db = Db::open(config).await?;
    let name = &*db.name(&endpoint.name).await?;
    let shown = db
        .transact(Access::ReadOnly, async |connection| {
            if let Some(route) = routes.get(name) {
                let shown = shown_routes(connection, &routes).await?;
                let mut shown = shown.into_iter().filter(|shown| shown.name == route.name);
                return Ok(shown.next().map(|endpoint| Shown {
                    endpoint,
                    settings: Settings::default(),
                }));
            }
            let stored = store::find(connection, name).await?;
            Ok(stored.map(|stored| Shown {
                settings: Settings::of(&stored, &encryption),
                endpoint: stored.endpoint,
            }))
        })
        .await?;
    let Some(shown) = shown else {
        return Err(db.unknown(name, &routes).await?);
    };
    output::done(&shown, format)
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, settings } = self;
        writeln!(f, "{}", endpoint.name)?;
        let mut line = |label: &str, text: &str| writeln!(f, "  {label:<9} {text}");
        line("channel", &endpoint.channel)?;
        line("target", endpoint.target())?;
        line("scope", &endpoint.scope())?;
        line("events", &endpoint.events())?;
        line("state", &endpoint.state())?;
        if let Some(method) = settings.method {
            line("method", method)?;
        }
        if !settings.headers.is_empty() {
            line("headers", &settings.headers.join(", "))?;
        }
        if let Some(count) = settings.secrets_count {
            let secrets = match count {
                0 => "none: messages are not signed".to_owned(),
                1 => "1 signs".to_owned(),
                count => format!("{count} sign, the newest first; see rotate-secret --drop-old"),
            };
            line("secrets", &secrets)?;
        }
        let state = match (&settings.error, settings.encrypted) {
            (Some(error), _) => error,
            (None, Some(true)) => "encrypted",
            (None, Some(false)) => {
                "not encrypted; with NOTIFY_SECRET_KEY set: notify-fan-out endpoint rotate-key"
            }
            (None, None) => "in the environment",
        };
        line("settings", state)?;
        endpoint
            .created_at
            .map_or(Ok(()), |at| line("added", &utc(at)))
    }
}
