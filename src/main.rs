//! Reads the environment, parses the command line, and turns the result into an exit code.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::Parser;
use notify_fan_out::cli::{Cli, ExitStatus, Failure, dispatch};
use notify_fan_out::config::{InvalidConfig, Source, unknown_variables};
use notify_fan_out::telemetry;

fn main() -> ExitCode {
    match dotenvy::dotenv() {
        Err(error) if !error.not_found() => {
            // The line itself may hold a secret.
            let place = match error {
                dotenvy::Error::LineParse(_, at) => format!(" (at character {at} of the line)"),
                other => format!(": {other}"),
            };
            eprintln!("error: .env can't be read{place}");
            return ExitStatus::Config.into();
        }
        _ => {}
    }
    let cli = Cli::parse();
    let get = |name: &str| std::env::var(name).ok();
    let source = Source(&get);
    if let Err(error) = start_log(&source) {
        eprintln!("error: {error}");
        return ExitStatus::Config.into();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime can't be started: {error}");
            return ExitStatus::Failure.into();
        }
    };
    match runtime.block_on(dispatch(cli, &source)) {
        Ok(status) => status.into(),
        // Whoever reads the output, such as `head`, has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            ExitStatus::Success.into()
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.status().into()
        }
    }
}

fn start_log(source: &Source<'_>) -> Result<(), InvalidConfig> {
    telemetry::init(source.log_level()?, source.log_format()?);
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        tracing::warn!(
            variable = name,
            "nothing reads this variable; is it misspelt?"
        );
    }
    Ok(())
}
