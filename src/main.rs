//! Reads `.env`, and does what the command line asks for.

use std::process::ExitCode;

fn main() -> ExitCode {
    let before = std::env::vars_os().map(|(name, _)| name).collect();
    let dotenv = match dotenvy::dotenv() {
        Err(error) if !error.not_found() => Err(error),
        _ => Ok(()),
    };
    notify_fan_out::run_command_line(&before, dotenv)
}
