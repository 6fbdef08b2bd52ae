//! The commands: one file each. Only here is anything printed.

mod bulk;
mod channel;
mod config;
mod dead_letters;
mod deliver;
mod doctor;
mod endpoint;
mod exit;
mod explain;
mod flags;
mod history;
mod human;
mod job;
mod migrate;
mod output;
mod preview;
mod program;
mod prune;
mod run;
mod seed;
mod signals;
mod singleton;
mod status;
mod unsubscribe;
mod wiring;

pub(crate) use exit::ExitStatus;
#[cfg(test)]
pub(crate) use flags::command_line;
pub use program::run_command_line;

use clap::{Parser, Subcommand};

use crate::config::{Config, Format, Given, InvalidConfig};
use crate::db::{Access, Database, ErrorClass, Session, Unnamed, said, sqlstate, tls_error};

/// Turns committed domain events into notifications, exactly once, and delivers e-mails, chat messages,
/// webhooks and text messages, at least once.
#[derive(Debug, Parser)]
#[command(
    name = "notify-fan-out",
    version,
    after_help = after_help()
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Arguments,
    /// How results are printed
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Claim due events, write their notifications, and settle them (the default)
    Run(run::Arguments),
    /// Send due e-mails, chat messages, webhooks and text messages
    Deliver(deliver::Arguments),
    /// Show who is notified of an event, who is not, and why
    Explain(explain::Arguments),
    /// Show the backlog, failures, deliveries, throughput and latency
    Status(status::Arguments),
    /// Requeue failed events
    Retry(bulk::RetryArguments),
    /// Complete failed events without effect
    Discard(bulk::DiscardArguments),
    /// List, show, retry or discard deliveries that failed permanently or may have arrived
    DeadLetters(dead_letters::Arguments),
    /// Delete what was done long ago
    Prune(prune::Arguments),
    /// Bring the database's schema up to date
    Migrate(migrate::Arguments),
    /// Show an e-mail as it would be sent, rendered from sample data
    Preview(preview::Arguments),
    /// Mute e-mails for the person that an unsubscribe address was made for
    Unsubscribe(unsubscribe::Arguments),
    /// Manage where operator events go: chats, webhooks, mailboxes, phones
    Endpoint(endpoint::Arguments),
    /// Insert test events and a small world around them
    Seed(seed::Arguments),
    /// Check connection, privileges, schema, trigger, pooler and backlog
    Doctor(doctor::Arguments),
    /// Show the values in force and where each comes from, without secrets
    Config(config::Arguments),
}

/// How a command ended, or why it could not be carried out.
type Exit = Result<ExitStatus, Failure>;

/// What was given, read.
struct Loaded {
    given: Given,
    config: Config,
    wrong: Vec<InvalidConfig>,
}

fn after_help() -> String {
    let codes = ExitStatus::ALL.map(|code| format!("\n  {}  {}", code as u8, code.meaning()));
    format!(
        "\
Without a command: run.

Configuration comes from the environment or .env, above all DATABASE_URL; see: notify-fan-out config.

Exit codes:{}",
        codes.concat()
    )
}

/// Carries out a command.
async fn dispatch(cli: Cli, loaded: Loaded) -> Result<ExitStatus, Failure> {
    let format = cli.format;
    let Loaded {
        given,
        config,
        wrong,
    } = loaded;
    let config = &config;
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    // These show what is wrong among the rest.
    let shows_wrong = matches!(command, Command::Config(_) | Command::Doctor(_));
    if !wrong.is_empty() && !shows_wrong {
        return Err(Failure::Config(wrong));
    }
    match command {
        Command::Run(arguments) => run::execute(arguments, config, format).await,
        Command::Deliver(arguments) => Box::pin(deliver::execute(arguments, config, format)).await,
        Command::Explain(arguments) => explain::execute(arguments, config, format).await,
        Command::Status(arguments) => status::execute(arguments, config, format).await,
        Command::Retry(arguments) => bulk::retry(arguments, config, format).await,
        Command::Discard(arguments) => bulk::discard(arguments, config, format).await,
        Command::DeadLetters(arguments) => dead_letters::execute(arguments, config, format).await,
        Command::Prune(arguments) => prune::execute(arguments, config, format).await,
        Command::Migrate(arguments) => migrate::execute(arguments, config, format).await,
        Command::Preview(arguments) => preview::execute(&arguments, config, format),
        Command::Unsubscribe(arguments) => unsubscribe::execute(arguments, config, format).await,
        Command::Endpoint(arguments) => endpoint::execute(arguments, config, format).await,
        Command::Seed(arguments) => seed::execute(arguments, config, format).await,
        Command::Doctor(arguments) => doctor::execute(arguments, config, &wrong, format).await,
        Command::Config(arguments) => config::execute(&arguments, &given, wrong, format),
    }
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Variables that are wrong, or missing and needed.
    #[error("{}", lines(.0))]
    Config(Vec<InvalidConfig>),
    /// Flags that don't go together, or a value that is wrong.
    #[error("{0}")]
    Usage(String),
    /// The database, and where it was sought.
    #[error("{place}: {}{advice}", said(error))]
    Database {
        /// Host, port and database.
        place: String,
        /// What it or the network said.
        error: sqlx::Error,
        /// What to do about it, where that is known.
        advice: String,
    },
    /// What was asked for can't be done here, as the text says.
    #[error("{0}")]
    Refused(String),
    /// A migration.
    #[error(transparent)]
    Migration(#[from] crate::db::migrate::MigrationFailed),
    /// Writing the result.
    #[error("the result could not be written: {0}")]
    Output(#[from] std::io::Error),
}

impl From<InvalidConfig> for Failure {
    fn from(error: InvalidConfig) -> Self {
        Self::Config(vec![error])
    }
}

fn lines(errors: &[InvalidConfig]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

/// Opens a connection.
async fn connect(database: &Database) -> Result<Session, Failure> {
    database
        .connect()
        .await
        .map_err(|error| database_failure(database, error))
}

/// Says where an error came from, and what to do about those that have a known remedy.
fn database_failure(database: &Database, error: sqlx::Error) -> Failure {
    let advice = match sqlstate(&error).as_deref() {
        Some("28000" | "28P01" | "3D000") => "; check user, password and database in DATABASE_URL",
        Some("42P01" | "42703" | "42883") => {
            "; is the schema up to date? Run: notify-fan-out migrate"
        }
        Some("42501") => "; the role lacks a right. See: notify-fan-out doctor, scripts/grants.sql",
        Some("25006" | "0A000") => {
            "; this server takes no writes (a standby?); a dry run works on it"
        }
        // Where nothing verifies it, any certificate would do; the library reads version 3 only.
        _ if tls_error(&error)
            .is_some_and(|error| format!("{error:?}").contains("UnsupportedCertVersion")) =>
        {
            "; the server's certificate is of X.509 version 1, which can't be read: give the server one \
             of version 3, or connect with sslmode=disable where the network is trusted"
        }
        _ if ErrorClass::of(&error) == ErrorClass::Unreachable => {
            "; is it running, and DATABASE_URL right?"
        }
        _ if ErrorClass::of(&error) == ErrorClass::Server => {
            "; nothing is lost: run again once the server works"
        }
        _ => "",
    };
    Failure::Database {
        place: database.describe(),
        error,
        advice: advice.to_owned(),
    }
}

/// As [`database_failure`]; where the role lacks a right, with how it gets those that the variable
/// `variable` of scripts/grants.sql gives.
async fn grant_failure(
    database: &Database,
    session: &mut Session,
    error: sqlx::Error,
    variable: &str,
) -> Failure {
    if sqlstate(&error).as_deref() != Some("42501") {
        return database_failure(database, error);
    }
    let role = current_role(session).await;
    let role = role.unwrap_or_else(|_| "NAME".to_owned());
    Failure::Database {
        place: database.describe(),
        error,
        advice: format!(
            "; as the tables' owner: psql -d DATABASE -v role='{role}' -v {variable} -f scripts/grants.sql"
        ),
    }
}

/// Who is asking. A pooler knows the role by another name than the server.
async fn current_role(session: &mut Session) -> Result<String, sqlx::Error> {
    let mut transaction = session.begin(Access::ReadOnly).await?;
    let role = sqlx::query_scalar("SELECT current_user::text")
        .fetch_one(Unnamed(&mut transaction))
        .await?;
    transaction.rollback().await?;
    Ok(role)
}
