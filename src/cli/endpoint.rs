//! `endpoint`: where operator events go.

mod add;
mod rotate_key;
mod rotate_secret;
mod show;
mod switch;
mod test;
mod value;

use clap::{Args, Subcommand};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Exit, Failure, connect, grant_failure};
use crate::config::{Config, Format};
use crate::db::{Access, Database, Session, Transaction};
use crate::endpoints::{Routes, store};
use switch::Switch;

/// Names that an error repeats.
const MOST_NAMED: usize = 8;

/// The variables that permit an address that is refused.
const PERMITTING: &str = "NOTIFY_OUTGOING_ALLOW, NOTIFY_OUTGOING_PLAIN_HTTP";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out endpoint add ops --channel slack --url -        prompts for the address
  notify-fan-out endpoint add billing --channel webhook --url https://example.com/hooks \\
      --events payment_failed,payment_succeeded                  creates and shows a signing secret
  notify-fan-out endpoint test billing                           sends a test message
  notify-fan-out endpoint list

An endpoint receives operator events: all types or some, of everybody or of one
organisation or project. The environment can name endpoints too, which are called
routes: env:slack, env:discord, env:email:… (NOTIFICATIONS_SLACK_WEBHOOK_URL and others).

add, rotate-secret, rotate-key and remove need more privileges than the jobs:
scripts/grants.sql -v endpoints=1.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add an endpoint
    Add(add::Arguments),
    /// Show all endpoints, with those of the environment
    #[command(after_help = "\
Examples:
  notify-fan-out endpoint list
  notify-fan-out endpoint list --format json | jq -r '.endpoints[] | select(.enabled | not).name'")]
    List,
    /// Show one endpoint, without its secrets
    #[command(after_help = "\
Examples:
  notify-fan-out endpoint show billing
  notify-fan-out endpoint show endpoint:0b4f6f0e-…        as tables and logs name it
  notify-fan-out endpoint show env:slack")]
    Show(Named),
    /// Send a test message, now
    #[command(after_help = "\
Examples:
  notify-fan-out endpoint test ops
  notify-fan-out endpoint test env:slack

Sends one message immediately, by the same code as real deliveries: the same policy,
limits and signing secrets apply. A disabled endpoint is tested too. Exit code 0 if the
message was accepted, 6 if not.")]
    Test(Named),
    /// Stop sending to it, and cancel its pending deliveries
    Disable(switch::DisableArguments),
    /// Resume sending to it
    #[command(after_help = "\
Examples:
  notify-fan-out endpoint enable ops
  notify-fan-out endpoint enable env:slack

Deliveries that were cancelled stay cancelled; it receives events from now on.")]
    Enable(Named),
    /// Sign with a new secret, and with the old ones until these are dropped
    RotateSecret(rotate_secret::Arguments),
    /// Encrypt all settings with the first key of `NOTIFY_SECRET_KEY`
    #[command(after_help = "\
Examples:
  NOTIFY_SECRET_KEY=new notify-fan-out endpoint rotate-key        what was stored without a key
  NOTIFY_SECRET_KEY=new,old notify-fan-out endpoint rotate-key    what was encrypted with the old one")]
    #[command(alias = "reseal")]
    RotateKey,
    /// Remove an endpoint, and cancel its pending deliveries
    #[command(after_help = "\
Examples:
  notify-fan-out endpoint remove ops")]
    Remove(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// The endpoint, by name or id, or env:slack and the like
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let (switch, arguments) = match arguments.command {
        Command::Add(arguments) => return add::execute(arguments, config, format).await,
        Command::List => return show::list(config, format).await,
        Command::Show(arguments) => return show::show(arguments, config, format).await,
        Command::Test(arguments) => return test::execute(arguments, config, format).await,
        Command::RotateSecret(arguments) => {
            return rotate_secret::execute(arguments, config, format).await;
        }
        Command::RotateKey => return rotate_key::execute(config, format).await,
        Command::Disable(arguments) => arguments.into_parts(),
        Command::Enable(arguments) => (Switch::Enable, arguments),
        Command::Remove(arguments) => (Switch::Remove, arguments),
    };
    switch::execute(switch, arguments, config, format).await
}

/// The database, and what an error of it comes to here.
struct Db {
    database: Database,
    session: Session,
}

impl Db {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let database = config.database()?;
        let session = connect(&database).await?;
        Ok(Self { database, session })
    }

    /// Does something in one transaction.
    async fn transact<T>(
        &mut self,
        access: Access,
        work: impl AsyncFnOnce(&mut Transaction<'_>) -> Result<T, sqlx::Error>,
    ) -> Result<T, Failure> {
        let worked = async {
            let mut transaction = self.session.begin(access).await?;
            let result = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(result)
        };
        match worked.await {
            Ok(result) => Ok(result),
            Err(error) => {
                Err(grant_failure(&self.database, &mut self.session, error, "endpoints=1").await)
            }
        }
    }

    /// The name of an endpoint that was given by its name or, as tables and logs have it, by its
    /// identifier. What is neither comes back as it is.
    async fn name(&mut self, given: &str) -> Result<String, Failure> {
        let Ok(id) = given.strip_prefix("endpoint:").unwrap_or(given).parse() else {
            return Ok(given.to_owned());
        };
        let name = self
            .transact(Access::ReadOnly, async |connection| {
                store::name(connection, given, id).await
            })
            .await?;
        Ok(name.unwrap_or_else(|| given.to_owned()))
    }

    /// The error for a name that no endpoint has.
    async fn unknown(&mut self, name: &str, routes: &Routes) -> Result<Failure, Failure> {
        let endpoints = self.transact(Access::ReadOnly, store::list).await?;
        let names = endpoints.into_iter().map(|endpoint| endpoint.name);
        let names = names.chain(routes.iter().map(|route| route.name.clone()));
        Ok(Failure::Refused(no_such(name, names.collect())))
    }
}

/// The likeliest first: those that begin alike.
fn no_such(name: &str, mut names: Vec<String>) -> String {
    if names.is_empty() {
        return format!(
            "there are no endpoints yet, so none is named {name:?}. See: notify-fan-out endpoint add --help"
        );
    }
    let alike = |other: &str| {
        let pairs = name.chars().zip(other.chars());
        pairs.take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
    };
    names.sort_by_key(|other| (usize::MAX - alike(other), other.clone()));
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    let rest = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "no endpoint is named {name:?}; there are {}{rest}",
        names.join(", ")
    )
}

fn random() -> StdRng {
    StdRng::from_os_rng()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_refused_with_the_likeliest_names() {
        let names = "a b c d e f g env:slack billing".split(' ');
        let names = names.map(str::to_owned).collect();
        insta::assert_snapshot!(no_such("bil", names), @r#"no endpoint is named "bil"; there are billing, b, a, c, d, e, env:slack, f and 1 more"#);
    }
}
