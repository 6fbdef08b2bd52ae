//! The program from its environment and arguments to its exit code.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _};
use std::process::ExitCode;

use super::{ExitStatus, Failure, dispatch, flags};
use crate::config::{Config, Given};
use crate::telemetry;

/// Does what the command line asks for. `before` are the variables of the environment without those of
/// `.env`, and `dotenv` says whether that could be read.
pub fn run_command_line(
    before: &BTreeSet<OsString>,
    dotenv: Result<(), dotenvy::Error>,
) -> ExitCode {
    let mut given = Given::of_process(before);
    // The log comes first, so that what is wrong goes into it.
    let (config, _) = Config::read(&given);
    telemetry::init(config.log_level, config.log_format);
    if let Err(error) = dotenv {
        return fail(&unreadable(&error), ExitStatus::Config);
    }
    let cli = match flags::parse(std::env::args_os(), &mut given) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && !std::io::stderr().is_terminal() => {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ").trim_end();
            return fail(&text, ExitStatus::Config);
        }
        // Also help and version, which are no errors.
        Err(error) => error.exit(),
    };
    for name in &given.unknown {
        tracing::warn!(
            variable = name,
            "nothing reads this variable; is it misspelt?"
        );
    }
    let (config, wrong) = Config::read(&given);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let text = format!("the runtime can't be started: {error}");
            return fail(&text, ExitStatus::Failure);
        }
    };
    let result = runtime.block_on(dispatch(cli, &given, &config, wrong));
    // A look-up of a name that nobody answers is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(status) => status.into(),
        // Whoever reads the output, such as `head`, has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitStatus::Success.into()
        }
        Err(Failure::Config(wrong)) => {
            for error in &wrong {
                telemetry::report(error);
            }
            ExitStatus::Config.into()
        }
        Err(failure) => fail(&failure, failure.status()),
    }
}

/// Where `.env` is wrong. The line itself may hold a secret.
pub(super) fn unreadable(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => {
            format!(".env can't be read (at character {at} of the line)")
        }
        other => format!(".env can't be read: {other}"),
    }
}

fn fail(error: &dyn std::fmt::Display, status: ExitStatus) -> ExitCode {
    telemetry::report(error);
    status.into()
}
