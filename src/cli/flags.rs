//! The flags that win over variables, made from the list of variables.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::config::{Flag, Given, Origin, VARIABLES, Variable};

/// The command line. The flags of `run`, the default, also stand without a command.
pub(crate) fn command_line() -> Command {
    ["run", "deliver", "serve", "prune"]
        .into_iter()
        .fold(with_flags(Cli::command(), "run"), |command, name| {
            command.mut_subcommand(name, |command| with_flags(command, name))
        })
}

/// Parses a command line, and adds its flags to what was given.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    given: &mut Given,
) -> Result<Cli, clap::Error> {
    let matches = command_line().try_get_matches_from(arguments)?;
    if stand_before_command(&matches) {
        // Not ignored: a run that was meant to be dry would write.
        let text =
            "flags of run don't go before a command; put them behind: notify-fan-out run --dry-run";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
    }
    collect(&matches, given);
    let cli = Cli::from_arg_matches(&matches)?;
    if let Some(super::Command::Config(config)) = &cli.command
        && !config.command.is_empty()
    {
        let program = OsString::from("notify-fan-out");
        parse(
            std::iter::once(program).chain(config.command.clone()),
            given,
        )?;
    }
    Ok(cli)
}

fn with_flags(command: Command, name: &str) -> Command {
    let flags = VARIABLES.iter().filter_map(|variable| {
        let flag = variable.flag.as_ref()?;
        flag.commands()
            .any(|command| command == name)
            .then(|| argument(variable, flag))
    });
    command.args(flags)
}

fn argument(variable: &'static Variable, flag: &'static Flag) -> Arg {
    let default = variable.default.filter(|default| *default != "false");
    let default = default.map(|default| format!(" [default: {default}]"));
    let help = format!(
        "{} [env: {}]{}",
        variable.summary(),
        variable.name,
        default.unwrap_or_default()
    );
    let argument = Arg::new(variable.name).long(flag.long).help(help);
    let argument = match flag.long {
        // Its name before.
        "exclusive" => argument.alias("alone"),
        _ => argument,
    };
    match flag.value_name {
        None => argument.action(ArgAction::SetTrue),
        Some(name) => argument
            .value_name(name)
            .value_parser(|text: &str| (variable.check)(text).map(|()| text.to_owned())),
    }
}

/// The flags that were given, of whatever command.
fn collect(matches: &ArgMatches, given: &mut Given) {
    for variable in VARIABLES {
        let name = variable.name;
        let is_known = matches.try_contains_id(name).unwrap_or(false);
        if is_known && matches.value_source(name) == Some(ValueSource::CommandLine) {
            let text = matches.try_get_one::<String>(name).ok().flatten();
            let text = text.cloned().unwrap_or_else(|| "true".to_owned());
            given.set(name, text, Origin::Flag);
        }
    }
    if let Some((_, matches)) = matches.subcommand() {
        collect(matches, given);
    }
}

/// Whether flags of `run` stand before another command.
fn stand_before_command(matches: &ArgMatches) -> bool {
    matches.subcommand().is_some()
        && matches.ids().any(|id| {
            id != "format" && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
        })
}
