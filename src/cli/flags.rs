//! The flags that win over variables, made from the list of variables.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Flag, Given, Origin, VARIABLES, Variable};

/// Adds to a command line the flags of each command that has some. Those of `run`, the default, also
/// stand without a command.
pub(super) fn add(command: Command) -> Command {
    let config = |command: Command| add_to_commands(command);
    add_to_commands(with_flags(command, "run")).mut_subcommand("config", config)
}

fn add_to_commands(command: Command) -> Command {
    ["run", "deliver", "prune"]
        .into_iter()
        .fold(command, |command, name| {
            command.mut_subcommand(name, |command| with_flags(command, name))
        })
}

fn with_flags(command: Command, name: &str) -> Command {
    let flags = VARIABLES.iter().filter_map(|variable| {
        let flag = variable.flag.as_ref()?;
        (flag.command == name).then(|| argument(variable, flag))
    });
    command.args(flags)
}

fn argument(variable: &'static Variable, flag: &'static Flag) -> Arg {
    let mut help = format!("{} [env: {}]", variable.summary(), variable.name);
    if let Some(default) = variable.default.filter(|default| *default != "false") {
        help += &format!(" [default: {default}]");
    }
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
pub(super) fn collect(matches: &ArgMatches, given: &mut Given) {
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
pub(super) fn stand_before_command(matches: &ArgMatches) -> bool {
    matches.subcommand().is_some()
        && matches.ids().any(|id| {
            id != "format" && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
        })
}
