//! `config`: the values in force, and where each comes from.

use std::ffi::OsString;
use std::fmt;

use clap::Args;
use serde::Serialize;

use super::output::{self, Style};
use super::{Exit, ExitStatus, Failure};
use crate::config::{Format, Given, InvalidConfig, Origin, VARIABLES, markdown};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out config
  notify-fan-out config run --batch-size 50     as run takes them with this flag
  notify-fan-out config --format json | jq -r '.variables[] | select(.source != \"default\")'

It needs no database. Secrets are not shown. Exit code 2 if a value is wrong.")]
pub(super) struct Arguments {
    /// Print docs/configuration.md: every variable, its default and what it does
    #[arg(long)]
    markdown: bool,
    /// A command with its flags, which win over variables
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(super) command: Vec<OsString>,
}

pub(super) fn execute(
    arguments: &Arguments,
    given: &Given,
    wrong: Vec<InvalidConfig>,
    format: Format,
) -> Exit {
    if arguments.markdown {
        output::text(&markdown())?;
    } else {
        output::emit(&values(given), format)?;
    }
    if wrong.is_empty() {
        return Ok(ExitStatus::Success);
    }
    Err(Failure::Config(wrong))
}

#[derive(Serialize)]
struct Values {
    variables: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    variable: &'static str,
    #[serde(rename = "value")]
    shown: Option<String>,
    source: Origin,
    #[serde(skip)]
    section: &'static str,
}

fn values(given: &Given) -> Values {
    let values = VARIABLES.iter().map(|variable| {
        let text = given.text(variable.name).map(|text| variable.shown(text));
        Value {
            variable: variable.name,
            shown: text.or_else(|| variable.default.map(str::to_owned)),
            source: given.origin(variable.name),
            section: variable.section,
        }
    });
    Values {
        variables: values.collect(),
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = Style::of(f);
        for values in self.variables.chunk_by(|a, b| a.section == b.section) {
            writeln!(f, "{}", style.bold(values[0].section))?;
            for value in values {
                let source = match value.source {
                    Origin::Flag => "flag",
                    Origin::Environment => "environment",
                    Origin::DotEnv => ".env",
                    Origin::Default => "default",
                };
                let shown = value.shown.as_deref().unwrap_or("-");
                writeln!(f, "  {:<38}  {source:<11}  {shown}", value.variable)?;
            }
        }
        Ok(())
    }
}
