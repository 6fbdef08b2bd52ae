//! `endpoint show`.

use std::fmt;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::Db;
use super::list::shown_routes;
use super::view::EndpointView;
use crate::channels::Destination;
use crate::cli::output;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::{Encryption, Stored, StoredForm, store};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint show billing
  notify-fan-out endpoint show endpoint:0b4f6f0e-…        as tables and logs name it
  notify-fan-out endpoint show env:slack")]
pub(super) struct Arguments {
    /// The endpoint, by name or id, or env:slack and the like
    #[arg(value_name = "NAME")]
    name: String,
}

/// What is known of settings, without what is secret about them.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Known {
    /// Whether they are encrypted in the database; nothing of a route is there.
    encrypted: Option<bool>,
    /// Why they can't be used.
    error: Option<String>,
    /// Of a webhook.
    method: Option<&'static str>,
    /// Of a webhook: names.
    headers: Vec<String>,
    /// Of a webhook: how many secrets sign.
    secrets_count: Option<usize>,
}

pub(super) async fn execute(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let (routes, encryption) = (config.routes()?, config.encryption()?);
    let mut db = Db::open(config).await?;
    let name = &*db.name(&arguments.name).await?;
    let found = db
        .transact(Access::ReadOnly, async |connection| {
            if let Some(route) = routes.get(name) {
                let mut shown = shown_routes(connection, &routes).await?;
                shown.retain(|shown| shown.name == route.name);
                return Ok(shown.pop().map(|shown| (shown, Known::default())));
            }
            let stored = store::find(connection, name).await?;
            Ok(stored.map(|stored| {
                (
                    EndpointView::from(&stored.endpoint),
                    known(&stored, &encryption),
                )
            }))
        })
        .await?;
    let Some((shown, known)) = found else {
        return Err(db.unknown(name, &routes).await?);
    };
    output::emit(
        &Document {
            shown,
            settings: known,
        },
        format,
    )?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    shown: EndpointView,
    settings: Known,
}

fn known(stored: &Stored, encryption: &Encryption) -> Known {
    let opened = encryption.decrypt(stored.endpoint.id, stored.settings.expose_secret());
    let mut known = Known {
        encrypted: Some(
            opened
                .as_ref()
                .map_or(true, |opened| opened.form != StoredForm::Plain),
        ),
        ..Known::default()
    };
    match stored.destination(encryption) {
        Ok(Destination::Webhook(target)) => {
            known.method = Some(target.method.name());
            known.headers = target.headers.names().map(str::to_owned).collect();
            known.secrets_count = Some(target.secrets.len());
        }
        Ok(_) => {}
        Err(error) => known.error = Some(error.to_string()),
    }
    known
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, settings } = self;
        writeln!(f, "{}", shown.name)?;
        let mut line = |label: &str, text: &str| writeln!(f, "  {label:<9} {text}");
        line("channel", shown.channel)?;
        line("target", shown.target.as_deref().unwrap_or("–"))?;
        line("scope", &shown.scope())?;
        line("events", &shown.events())?;
        line("state", &shown.state())?;
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
        if let Some(at) = shown.created_at {
            line("added", &at.format("%Y-%m-%d %H:%M:%S UTC").to_string())?;
        }
        Ok(())
    }
}
