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
mod failure;
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
mod serve;
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
use failure::{Failure, connect, database_failure, grant_failure};

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
    /// Do both until it is stopped, milliseconds after each commit
    Serve(serve::Arguments),
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

/// Carries out a command. `config` was read from `given`, except for what is `wrong`.
async fn dispatch(cli: Cli, given: &Given, config: &Config, wrong: Vec<InvalidConfig>) -> Exit {
    let format = cli.format;
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    // These show what is wrong among the rest.
    let shows_wrong = matches!(command, Command::Config(_) | Command::Doctor(_));
    if !wrong.is_empty() && !shows_wrong {
        return Err(Failure::Config(wrong));
    }
    match command {
        Command::Run(arguments) => run::execute(arguments, config, format).await,
        Command::Deliver(arguments) => Box::pin(deliver::execute(arguments, config, format)).await,
        Command::Serve(arguments) => Box::pin(serve::execute(arguments, config, given)).await,
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
        Command::Config(arguments) => config::execute(&arguments, given, wrong, format),
    }
}
