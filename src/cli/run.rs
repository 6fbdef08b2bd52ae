//! `run`: the minute job. `run --dry-run`: what it would do.

mod dry;
mod summary;

use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;

use super::human::counted;
use super::singleton::{Job, SingletonLock};
use super::{ExitStatus, Failure, database_failure, output, signals};
use crate::config::{Config, Format};
use crate::db::Database;
use crate::fan_out::{FanOutReport, MOST_COUNTED, RunFailed, Settings, run};
use crate::metrics;
use crate::telemetry;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out                          notify of everything that is due
  notify-fan-out run --dry-run            show what that would be, and write nothing
  notify-fan-out run --dry-run --format json | jq .title
  notify-fan-out run --limit 100 --batch-size 50
  notify-fan-out run --exclusive          exit with code 5 if another instance runs

Events of the types in NOTIFY_FANOUT_IGNORE_TYPES complete without effect.
Runs that overlap, on one machine or several, share the work.")]
pub(super) struct Arguments {
    /// Stop after this many events [default: none]
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let settings = config.fan_out(arguments.limit, processor_id())?;
    let database = config.database()?;
    if config.dry_run {
        return dry::execute(&database, &settings, format).await;
    }
    let started = Instant::now();
    let lock = if config.exclusive {
        let acquired = SingletonLock::acquire(&database, Job::FanOut).await;
        let Some(lock) = acquired.map_err(|error| database_failure(&database, error))? else {
            return already_running(format);
        };
        Some(lock)
    } else {
        None
    };
    let stop = signals::stop_on_signal()?;
    let bar = progress_bar(format);
    let (report, result) = run(&database, &settings, &stop, &mut |report| {
        show(&bar, report);
    })
    .await;
    bar.finish_and_clear();
    drop(lock);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &config.metrics_file {
        let recorded = metrics::record(path, &database, &report, seconds, result.is_ok()).await;
        if let Err(error) = recorded {
            tracing::warn!(path = %path.display(), "NOTIFY_FANOUT_METRICS_FILE could not be written: {error}");
        }
    }
    if !report.unhandled_types.is_empty() {
        let types: Vec<_> = report.unhandled_types.iter().map(String::as_str).collect();
        tracing::warn!(
            types = types.join(", "),
            "events of these types wait for a binary that handles them"
        );
    }
    if !report.expired_unhandled.is_empty() {
        let types: Vec<_> = report
            .expired_unhandled
            .keys()
            .map(String::as_str)
            .collect();
        tracing::warn!(
            events = report.expired_unhandled_count(),
            types = types.join(", "),
            "events of these types expired without a handler; types that nobody is to be notified \
             of go into NOTIFY_FANOUT_IGNORE_TYPES"
        );
    }
    let printed = summary::print(&report, seconds, result.is_err(), format, config.log_format);
    // How the run went counts for more than whether anyone heard of it.
    result.map_err(|failed| run_failure(&database, failed))?;
    printed?;
    Ok(if report.failed + report.expired > 0 {
        ExitStatus::EventsFailed
    } else {
        ExitStatus::Success
    })
}

pub(super) fn already_running(format: Format) -> Result<ExitStatus, Failure> {
    match format {
        Format::Json => output::json(&serde_json::json!({ "not_alone": true }))?,
        Format::Text => {
            let text = "Another instance is running; nothing was done.";
            if telemetry::is_json() {
                tracing::info!(target: telemetry::SUMMARY, "{text}");
            }
            output::ended(&[], text)?;
        }
    }
    Ok(ExitStatus::AlreadyRunning)
}

/// Host, process and a moment that tells apart processes of the same number.
pub(super) fn processor_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or(host);
    let run: u32 = rand::random();
    format!("{}:{}:{run:08x}", host.trim(), std::process::id())
}

pub(super) fn run_failure(database: &Database, failed: RunFailed) -> Failure {
    let (RunFailed::Unreachable(error) | RunFailed::Database(error)) = failed;
    database_failure(database, error)
}

/// Shows where the log has been turned down: it would tear the lines of a log that goes to the same
/// terminal, and those show the progress themselves.
pub(super) fn progress_bar(format: Format) -> ProgressBar {
    if tracing::enabled!(tracing::Level::INFO) {
        return ProgressBar::hidden();
    }
    output::progress_bar(format)
}

fn show(bar: &ProgressBar, report: &FanOutReport) {
    bar.set_message(format!(
        "{} events, {} notifications",
        report.events, report.notifications
    ));
    bar.tick();
}

/// What a reader of the summary may want to do next.
fn hint(report: &FanOutReport) -> Option<&'static str> {
    if report.failed > 0 {
        Some("Why: notify-fan-out status. Once fixed: notify-fan-out retry --help")
    } else if report.expired > 0 {
        Some("Events were too old: notify-fan-out status names them")
    } else if report.retried > 0 {
        Some("Retries happen automatically. See: notify-fan-out status")
    } else {
        None
    }
}

/// What was still due when it ended early.
fn left(report: &FanOutReport) -> Option<String> {
    let left = report.left.filter(|&left| left > 0)?;
    let more = if left >= MOST_COUNTED { " or more" } else { "" };
    Some(format!(
        "{}{more} still due",
        counted(left, "event", "events")
    ))
}
