//! Reads the environment, parses the command line, and turns the result into an exit code.

use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use notify_fan_out::cli::{Cli, ExitStatus, Failure, dispatch};
use notify_fan_out::config::{LogFormat, Source, unknown_variables};
use notify_fan_out::telemetry;

fn main() -> ExitCode {
    let dotenv = dotenvy::dotenv();
    let get = |name: &str| std::env::var(name).ok();
    let source = Source(&get);
    // The log comes first, as far as its own settings are right: what is wrong goes into it.
    let (level, format) = (source.log_level(), source.log_format());
    telemetry::init(
        level.clone().unwrap_or(tracing::Level::INFO),
        format.clone().unwrap_or(LogFormat::Text),
    );
    match dotenv {
        Err(error) if !error.not_found() => {
            // The line itself may hold a secret.
            let place = match error {
                dotenvy::Error::LineParse(_, at) => format!(" (at character {at} of the line)"),
                other => format!(": {other}"),
            };
            return fail(&format!(".env can't be read{place}"), ExitStatus::Config);
        }
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && !std::io::stderr().is_terminal() => {
            let text = error.to_string();
            let text = text.trim_start_matches("error: ").trim_end();
            return fail(&text, ExitStatus::Config);
        }
        // Also help and version, which are no errors.
        Err(error) => error.exit(),
    };
    if let Some(error) = level.err().or(format.err()) {
        return fail(&error, ExitStatus::Config);
    }
    warn_of_unknown_variables();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let text = format!("the runtime can't be started: {error}");
            return fail(&text, ExitStatus::Failure);
        }
    };
    let result = runtime.block_on(dispatch(cli, &source));
    // A look-up of a name that nobody answers is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(status) => status.into(),
        // Whoever reads the output, such as `head`, has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitStatus::Success.into()
        }
        Err(failure) => fail(&failure, failure.status()),
    }
}

fn fail(error: &dyn std::fmt::Display, status: ExitStatus) -> ExitCode {
    telemetry::report(error);
    status.into()
}

fn warn_of_unknown_variables() {
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        tracing::warn!(
            variable = name,
            "nothing reads this variable; is it misspelt?"
        );
    }
}
