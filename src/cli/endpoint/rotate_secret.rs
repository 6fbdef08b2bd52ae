//! `endpoint rotate-secret`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{Db, add, random};
use crate::channels::Destination;
use crate::channels::signature::SigningSecret;
use crate::cli::human::counted;
use crate::cli::output;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::{Unusable, store};

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

/// What came of it.
enum Rotated {
    /// So many secrets sign now, and so many were dropped.
    Done { signing: usize, dropped: usize },
    /// There is no such endpoint.
    Unknown,
    /// It has no signing secrets.
    NotSigned(&'static str),
    /// It has as many as there may be.
    TooMany,
    /// The secret signs already.
    Known,
    /// Its settings can't be read.
    Unusable(Unusable),
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let name = arguments.name.as_str();
    let (routes, encryption) = (config.routes()?, config.encryption()?);
    if routes.get(name).is_some() {
        return Err(Failure::Refused(format!(
            "{name} is a route of the environment, whose messages are not signed; change its address there"
        )));
    }
    let given = arguments.secret.as_deref().map(add::secret).transpose()?;
    let is_made = given.is_none() && !arguments.drop_old;
    let new = given.or_else(|| is_made.then(add::new_secret));
    let mut db = Db::open(config).await?;
    let name = &*db.name(name).await?;
    let rotated = db
        .transact(Access::ReadWrite, async |connection| {
            let Some(stored) = store::find_locked(connection, name).await? else {
                return Ok(Rotated::Unknown);
            };
            let mut destination = match stored.destination(&encryption) {
                Ok(destination) => destination,
                Err(error) => return Ok(Rotated::Unusable(error)),
            };
            let Destination::Webhook(target) = &mut destination else {
                return Ok(Rotated::NotSigned(stored.endpoint.channel.name()));
            };
            let rotated = rotate(&mut target.secrets, new.as_ref());
            if let Rotated::Done { .. } = rotated {
                let id = stored.endpoint.id;
                store::replace(connection, id, &destination, &encryption, &mut random()).await?;
            }
            Ok(rotated)
        })
        .await?;
    let refused = |words: String| Err(Failure::Refused(words));
    let (signing, dropped) = match rotated {
        Rotated::Done { signing, dropped } => (signing, dropped),
        Rotated::Unknown => return Err(db.unknown(name, &routes).await?),
        Rotated::NotSigned(channel) => {
            return refused(format!(
                "{name} is an endpoint of channel {channel}, whose messages are not signed; if its address has \
                 leaked, create another in the chat, add that, and remove this one"
            ));
        }
        Rotated::TooMany => {
            return refused(format!(
                "{MOST} secrets of {name} sign already; drop the old ones first: notify-fan-out endpoint rotate-secret {name} --drop-old"
            ));
        }
        Rotated::Known => return refused(format!("this secret of {name} signs already")),
        Rotated::Unusable(error) => return refused(format!("{name}: {error}")),
    };
    let made = new.as_ref().filter(|_| is_made);
    let report = Rotation {
        name,
        secret: made.map(|secret| secret.reveal().to_string()),
        secrets_count: signing,
        dropped_count: dropped,
    };
    output::emit(&report, format)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Rotation<'a> {
    name: &'a str,
    secret: Option<String>,
    secrets_count: usize,
    dropped_count: usize,
}

/// Puts a new secret in front, or drops all but the first.
fn rotate(secrets: &mut Vec<SigningSecret>, new: Option<&SigningSecret>) -> Rotated {
    let before = secrets.len();
    match new {
        Some(new) if secrets.contains(new) => return Rotated::Known,
        Some(_) if before >= MOST => return Rotated::TooMany,
        Some(new) => secrets.insert(0, new.clone()),
        None => secrets.truncate(1),
    }
    Rotated::Done {
        signing: secrets.len(),
        dropped: before.saturating_sub(secrets.len()),
    }
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

    fn secret(byte: u8) -> SigningSecret {
        SigningSecret::from_bytes(&[byte; 32]).expect("a secret")
    }

    #[test]
    fn the_new_one_stands_in_front() {
        let mut secrets = vec![secret(1)];
        assert!(matches!(
            rotate(&mut secrets, Some(&secret(2))),
            Rotated::Done {
                signing: 2,
                dropped: 0
            }
        ));
        assert_eq!(secrets, [secret(2), secret(1)]);
        assert!(matches!(
            rotate(&mut secrets, Some(&secret(1))),
            Rotated::Known
        ));
        for byte in 3..=5 {
            rotate(&mut secrets, Some(&secret(byte)));
        }
        assert!(matches!(
            rotate(&mut secrets, Some(&secret(6))),
            Rotated::TooMany
        ));
        assert!(matches!(
            rotate(&mut secrets, None),
            Rotated::Done {
                signing: 1,
                dropped: 4
            }
        ));
        assert_eq!(secrets, [secret(5)]);
    }

    #[test]
    fn says_what_to_do_next() {
        let rotation = |secrets_count, dropped_count| {
            let report = Rotation {
                name: "ops",
                secret: None,
                secrets_count,
                dropped_count,
            };
            report.to_string()
        };
        insta::assert_snapshot!(rotation(2, 0), @"2 secrets sign the messages of ops now. Once the receiver has the new one: notify-fan-out endpoint rotate-secret ops --drop-old");
        insta::assert_snapshot!(rotation(1, 1), @"Dropped 1 secret; only the newest signs the messages of ops.");
        insta::assert_snapshot!(rotation(1, 0), @"The messages of ops are signed with 1 secret.");
    }
}
