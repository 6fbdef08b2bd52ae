//! `endpoint add`.

use std::collections::HashSet;
use std::fmt;

use clap::Args;
use rand::RngCore as _;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use super::{Db, PERMITTING, random, value};
use crate::channels::signature::SigningSecret;
use crate::channels::webhook::WebhookMethod;
use crate::channels::{Channel, Destination, ExtraHeaders, WebhookTarget};
use crate::cli::{Exit, Failure, output};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::store::{self, Added, NewEndpoint};
use crate::endpoints::{Endpoint, EndpointScope, Name};
use crate::handlers::EventType;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint add ops --channel slack --url -
  notify-fan-out endpoint add eu --channel discord --url @/run/secrets/discord --org 5eed5eed-…
  notify-fan-out endpoint add billing --channel webhook --url https://example.com/hooks \\
      --events payment_failed,payment_succeeded --header 'Authorization: @/run/secrets/token'
  notify-fan-out endpoint add support --channel email --to 'Support <support@example.com>'
  notify-fan-out endpoint add duty --channel sms --to +4915112345678 --events node.terminated

The address of a chat's webhook is a secret: whoever knows it can post there. Command
lines are visible to other users, so each value may be given as - (the next line of
standard input, read in the order of address, secrets, headers) or @FILE (the first
line of a file).")]
pub(super) struct Arguments {
    /// Its name
    #[arg(value_name = "NAME")]
    name: Name,
    /// How it is reached
    #[arg(long, value_name = "CHANNEL", value_enum)]
    channel: Channel,
    /// Its address, for slack, discord and webhook
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its e-mail address or phone number, for email and sms
    #[arg(long, value_name = "ADDRESS", conflicts_with = "url")]
    to: Option<String>,
    /// Only events of this organisation
    #[arg(long, value_name = "UUID", conflicts_with = "project")]
    org: Option<Uuid>,
    /// Only events of this project
    #[arg(long, value_name = "UUID")]
    project: Option<Uuid>,
    /// The event types, separated by commas; * is all operator events
    #[arg(long, value_name = "TYPES", value_delimiter = ',', default_value = "*", value_parser = event_type)]
    events: Vec<&'static str>,
    /// A header to send with each message, 'Name: value'; may be given more than once (webhook)
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// POST or PUT (webhook) [default: POST]
    #[arg(long, value_name = "METHOD")]
    method: Option<WebhookMethod>,
    /// A signing secret, whsec_…, the newest first; may be given more than once (webhook) [default: a new one]
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,
}

fn event_type(name: &str) -> Result<&'static str, String> {
    let name = name.trim();
    if name == "*" {
        return Ok("*");
    }
    let known = EventType::from_name(name).filter(|known| known.is_operator());
    known.map(EventType::name).ok_or_else(|| {
        let operator = EventType::ALL.iter().filter(|known| known.is_operator());
        let names: Vec<_> = operator.map(|known| known.name()).collect();
        format!("there are {}, and * for all", names.join(", "))
    })
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let encryption = config.encryption()?;
    let (destination, made) = destination(&arguments)?;
    destination
        .check(&config.outgoing_policy())
        .map_err(|refused| {
            let permit = if refused.is_permittable() {
                format!("; to permit it: {PERMITTING}")
            } else {
                String::new()
            };
            Failure::Usage(format!("--url: {refused}{permit}"))
        })?;
    let note = destination.note();
    let scope = match (arguments.org, arguments.project) {
        (Some(id), _) => EndpointScope::Organisation(id),
        (None, Some(id)) => EndpointScope::Project(id),
        (None, None) => EndpointScope::Global,
    };
    let new = NewEndpoint {
        id: Uuid::new_v4(),
        name: arguments.name,
        scope,
        destination,
        event_types: event_types(&arguments.events),
    };
    let name = new.name.as_str();
    let (added, stored) = Db::open(config)
        .await?
        .transact(Access::ReadWrite, async |connection| {
            let added = store::add(connection, &new, &encryption, &mut random()).await?;
            Ok((added, store::find(connection, name).await?))
        })
        .await?;
    let endpoint = match (added, stored) {
        (Added::Yes, Some(stored)) => stored.endpoint,
        (Added::NoSuchScope, _) => {
            return Err(Failure::Refused(format!(
                "there is no {scope}; nothing was added"
            )));
        }
        (Added::NameTaken | Added::Yes, _) => {
            return Err(Failure::Refused(format!(
                "there is an endpoint {name} already; nothing was added. See: notify-fan-out endpoint show {name}"
            )));
        }
    };
    let report = AddedReport {
        endpoint,
        secret: made.map(|secret| secret.reveal().to_string()),
        encrypted: encryption.encrypts(),
        note,
    };
    output::done(&report, format)
}

#[derive(Serialize)]
struct AddedReport {
    endpoint: Endpoint,
    secret: Option<String>,
    encrypted: bool,
    note: Option<String>,
}

impl fmt::Display for AddedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = &self.endpoint;
        let name = &endpoint.name;
        writeln!(
            f,
            "Added {name}: {}, {}; scope {}; events {}.",
            endpoint.channel,
            endpoint.target.as_deref().unwrap_or_default(),
            endpoint.scope(),
            endpoint.events()
        )?;
        if let Some(secret) = &self.secret {
            writeln!(
                f,
                "Signing secret, for the receiver; it is shown only now:\n  {secret}"
            )?;
        }
        if let Some(note) = &self.note {
            writeln!(f, "Note: {note}.")?;
        }
        if !self.encrypted {
            f.write_str(
                "Note: its settings are not encrypted in the database; set NOTIFY_SECRET_KEY to encrypt them.\n",
            )?;
        }
        writeln!(f, "Try it: notify-fan-out endpoint test {name}")
    }
}

/// Sorted, each once; what is all, alone.
fn event_types(given: &[&str]) -> Vec<String> {
    if given.contains(&"*") {
        return vec!["*".to_owned()];
    }
    let mut types: Vec<String> = given.iter().map(|name| (*name).to_owned()).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// The target, and the secret that was made for it.
fn destination(arguments: &Arguments) -> Result<(Destination, Option<SigningSecret>), Failure> {
    let channel = arguments.channel;
    let option = channel.spec().target.option;
    let (given, other) = match option {
        "--url" => (&arguments.url, &arguments.to),
        _ => (&arguments.to, &arguments.url),
    };
    let (Some(given), None) = (given, other) else {
        return Err(Failure::Usage(format!(
            "an endpoint of channel {} takes {option}",
            channel.name()
        )));
    };
    let text = value::read(option, given)?;
    let destination = Destination::of(channel, text.expose_secret())
        .map_err(|error| Failure::Usage(format!("{option}: {error}")))?;
    if let Destination::Webhook(target) = destination {
        let (target, made) = signed(target, arguments)?;
        return Ok((Destination::Webhook(target), made));
    }
    let Arguments {
        headers, secrets, ..
    } = arguments;
    if headers.is_empty() && secrets.is_empty() && arguments.method.is_none() {
        return Ok((destination, None));
    }
    Err(Failure::Usage(
        "--header, --method and --secret are for endpoints of channel webhook".to_owned(),
    ))
}

fn signed(
    target: WebhookTarget,
    arguments: &Arguments,
) -> Result<(WebhookTarget, Option<SigningSecret>), Failure> {
    let secrets = arguments.secrets.iter().map(|given| secret(given));
    let mut secrets = secrets.collect::<Result<Vec<_>, _>>()?;
    let made = secrets.is_empty().then(new_secret);
    secrets.extend(made.clone());
    let target = WebhookTarget {
        secrets,
        headers: headers(&arguments.headers)?,
        method: arguments.method.unwrap_or_default(),
        ..target
    };
    Ok((target, made))
}

/// A signing secret as it was given.
pub(super) fn secret(given: &str) -> Result<SigningSecret, Failure> {
    let text = value::read("--secret", given)?;
    let secret = text.expose_secret().parse();
    secret.map_err(|error| Failure::Usage(format!("--secret: {error}")))
}

/// A signing secret that nobody knows yet.
pub(super) fn new_secret() -> SigningSecret {
    let mut bytes = [0; 32];
    random().fill_bytes(&mut bytes);
    SigningSecret::from_bytes(&bytes).unwrap_or_else(|_| unreachable!("32 bytes will do"))
}

fn headers(given: &[String]) -> Result<ExtraHeaders, Failure> {
    let wrong = |words: String| Failure::Usage(format!("--header: {words}"));
    let mut headers: Vec<(&str, SecretString)> = Vec::new();
    let mut known = HashSet::new();
    for header in given {
        // Without a name, all of it may be a secret.
        let (name, text) = header
            .split_once(':')
            .ok_or_else(|| wrong("must be 'Name: value'".to_owned()))?;
        let name = name.trim();
        if !known.insert(name.to_ascii_lowercase()) {
            return Err(wrong(format!("{name:?} is given twice")));
        }
        headers.push((name, value::read("--header", text.trim())?));
    }
    ExtraHeaders::new(headers).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    #[test]
    fn types_stand_once() {
        assert_eq!(event_type(" payment.failed "), Ok("payment_failed"));
        assert_eq!(event_types(&["tenant_created", "*"]), ["*"]);
        let given = ["tenant_created", "payment_failed", "tenant_created"];
        assert_eq!(event_types(&given), ["payment_failed", "tenant_created"]);
    }

    #[test]
    fn an_endpoint_is_of_one_scope() {
        let line = "notify-fan-out endpoint add ops --channel slack --url x --org {} --project {}";
        let line = line.replace("{}", &Uuid::nil().to_string());
        let error = Cli::try_parse_from(line.split(' ')).expect_err("two scopes");
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_header_stands_once() {
        let error = headers(&["A: 1", "a: 2"].map(str::to_owned)).expect_err("no headers");
        assert_eq!(error.to_string(), r#"--header: "a" is given twice"#);
    }
}
