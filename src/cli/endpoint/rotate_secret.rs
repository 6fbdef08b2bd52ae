//! `endpoint rotate-secret`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{Db, add, random};
use crate::channels::Destination;
use crate::channels::signature::SigningSecret;
use crate::cli::human::counted;
use crate::cli::output;
use crate::cli::{Exit, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::store;

/// Secrets that sign at once, at most: each makes the header of every message longer.
const MOST: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
In three steps, without a message that the receiver can't verify:
  notify-fan-out endpoint rotate-secret billing              shows the new secret; both sign now
  (give the receiver the new one)
  notify-fan-out endpoint rotate-secret billing --drop-old   the new one alone signs")]
pub(super) struct Arguments {
    /// The endpoint, by name or id
    #[arg(value_name = "NAME")]
    name: String,
    /// The new secret, whsec_…; - reads a line of standard input, @FILE of a file [default: a new one]
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Make no new secret; drop all but the newest
    #[arg(long, conflicts_with = "secret")]
    drop_old: bool,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let name = arguments.name.as_str();
    let (routes, encryption) = (config.routes()?, config.encryption()?);
    if routes.get(name).is_some() {
        return Err(Failure::Refused(format!(
            "{name} is a route of the environment, whose messages are not signed; change its address there"
        )));
    }
    let given = arguments.secret.as_deref().map(add::secret).transpose()?;
    let made = (given.is_none() && !arguments.drop_old).then(add::new_secret);
    let new = given.as_ref().or(made.as_ref());
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    // `None`: there is no such endpoint. An error: why it was left as it was.
    let rotated = db
        .transact(Access::ReadWrite, async |connection| {
            let Some(stored) = store::find_locked(connection, name).await? else {
                return Ok(None);
            };
            let mut destination = match stored.destination(&encryption) {
                Ok(destination) => destination,
                Err(error) => return Ok(Some(Err(format!("{name}: {error}")))),
            };
            let Destination::Webhook(target) = &mut destination else {
                return Ok(Some(Err(format!(
                    "{name} is an endpoint of channel {}, whose messages are not signed; if its address has \
                     leaked, create another in the chat, add that, and remove this one",
                    stored.endpoint.channel
                ))));
            };
            let dropped_count = match rotate(name, &mut target.secrets, new) {
                Ok(dropped) => dropped,
                Err(refused) => return Ok(Some(Err(refused))),
            };
            let secrets_count = target.secrets.len();
            let id = stored.id;
            store::replace(connection, id, &destination, &encryption, &mut random()).await?;
            Ok(Some(Ok((secrets_count, dropped_count))))
        })
        .await?;
    let Some(rotated) = rotated else {
        return Err(db.unknown(name, &routes).await?);
    };
    let (secrets_count, dropped_count) = rotated.map_err(Failure::Refused)?;
    let report = Rotation {
        name,
        secret: made.map(|secret| secret.reveal().to_string()),
        secrets_count,
        dropped_count,
    };
    output::done(&report, format)
}

/// Puts a new secret in front, or drops all but the first; then the number of those. An error says
/// why not.
fn rotate(
    name: &str,
    secrets: &mut Vec<SigningSecret>,
    new: Option<&SigningSecret>,
) -> Result<usize, String> {
    let before = secrets.len();
    match new {
        Some(new) if secrets.contains(new) => {
            return Err(format!("this secret of {name} signs already"));
        }
        Some(_) if before >= MOST => {
            return Err(format!(
                "{MOST} secrets of {name} sign already; drop the old ones first: notify-fan-out endpoint rotate-secret {name} --drop-old"
            ));
        }
        Some(new) => secrets.insert(0, new.clone()),
        None => secrets.truncate(1),
    }
    Ok(before.saturating_sub(secrets.len()))
}

#[derive(Serialize)]
struct Rotation<'a> {
    name: &'a str,
    secret: Option<String>,
    secrets_count: usize,
    dropped_count: usize,
}

impl fmt::Display for Rotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        if let Some(secret) = &self.secret {
            writeln!(
                f,
                "New signing secret of {name}, for the receiver; it is shown only now:\n  {secret}"
            )?;
        }
        let of = |number: usize| counted(number as u64, "secret", "secrets");
        let signing = of(self.secrets_count);
        match (self.dropped_count, self.secrets_count) {
            (0, ..=1) => writeln!(f, "The messages of {name} are signed with {signing}."),
            (0, _) => writeln!(
                f,
                "{signing} sign the messages of {name} now. Once the receiver has the new one: notify-fan-out endpoint rotate-secret {name} --drop-old"
            ),
            (dropped, _) => writeln!(
                f,
                "Dropped {}; only the newest signs the messages of {name}.",
                of(dropped)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_one_stands_in_front_of_four_at_most() {
        let secret = |byte| SigningSecret::from_bytes(&[byte; 32]).expect("a secret");
        let mut secrets = vec![secret(1)];
        let mut rotate = |new: Option<u8>| {
            let rotated = super::rotate("ops", &mut secrets, new.map(secret).as_ref());
            let dropped = rotated.map_or_else(|refused| refused, |dropped| dropped.to_string());
            format!("{dropped}, {}, {}", secrets.len(), secrets[0] == secret(5))
        };
        let rotated = [2, 1, 3, 4, 5, 6].map(|byte| rotate(Some(byte)));
        insta::assert_snapshot!(rotated.join("\n"), @"
        0, 2, false
        this secret of ops signs already, 2, false
        0, 3, false
        0, 4, false
        0, 5, true
        5 secrets of ops sign already; drop the old ones first: notify-fan-out endpoint rotate-secret ops --drop-old, 5, true
        ");
        assert_eq!(rotate(None), "4, 1, true");
    }
}
