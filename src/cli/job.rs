//! What `run` and `deliver` have in common: singleton lock, signals, progress, metrics file, summary and
//! exit code.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::{Instant, SystemTime};

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::singleton::SingletonLock;
use super::{Exit, ExitStatus, database_failure, output, signals, singleton};
use crate::config::Format;
use crate::db::Database;
use crate::telemetry;

/// What a job did.
pub(super) trait JobReport: Serialize {
    /// What the summary begins with.
    const NAME: &str;
    const METRICS_VARIABLE: &str;

    /// What the summary counts.
    fn counts(&self) -> Vec<(&'static str, u64)>;

    fn progress(&self) -> String;

    /// What a reader of the summary may want to know or do.
    fn notes(&self, failed: bool) -> Vec<String>;

    async fn record(
        &self,
        file: &Path,
        database: &Database,
        seconds: f64,
        succeeded: bool,
    ) -> std::io::Result<()>;

    /// Whether anything failed permanently.
    fn has_failures(&self) -> bool;
}

pub(super) struct Options<'a> {
    pub(super) lock: singleton::Job,
    pub(super) exclusive: bool,
    pub(super) metrics_file: Option<&'a Path>,
    pub(super) format: Format,
}

/// Runs a job to its end, and says what it did.
pub(super) async fn execute<R: JobReport>(
    database: &Database,
    options: &Options<'_>,
    work: impl AsyncFnOnce(&CancellationToken, &mut dyn FnMut(&R)) -> (R, Result<(), sqlx::Error>),
) -> Exit {
    let started = Instant::now();
    let lock = if options.exclusive {
        let lock = SingletonLock::acquire(database, options.lock).await;
        let Some(lock) = lock.map_err(|error| database_failure(database, error))? else {
            return already_running(options.format);
        };
        Some(lock)
    } else {
        None
    };
    let stop = signals::stop_on_signal()?;
    let bar = progress_bar(options.format);
    let (report, result) = work(&stop, &mut |report: &R| {
        bar.set_message(report.progress());
        bar.tick();
    })
    .await;
    bar.finish_and_clear();
    drop(lock);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(file) = options.metrics_file {
        let recorded = report.record(file, database, seconds, result.is_ok());
        if let Err(error) = recorded.await {
            let variable = R::METRICS_VARIABLE;
            tracing::warn!(path = %file.display(), "{variable} could not be written: {error}");
        }
    }
    let summary = Summary {
        seconds,
        completed: result.is_ok(),
        report,
    };
    let printed = summary.print(options.format);
    // How the job went counts for more than whether its summary was read.
    result.map_err(|error| database_failure(database, error))?;
    printed?;
    Ok(if summary.report.has_failures() {
        ExitStatus::EventsFailed
    } else {
        ExitStatus::Success
    })
}

/// The last lines of a job. A log in JSON has them as an entry instead.
#[derive(Serialize)]
struct Summary<R> {
    seconds: f64,
    completed: bool,
    #[serde(flatten)]
    report: R,
}

impl<R: JobReport> Summary<R> {
    fn title(&self) -> String {
        let ending = if self.completed {
            "completed"
        } else {
            "stopped"
        };
        format!("{} {ending}", R::NAME)
    }

    fn print(&self, format: Format) -> std::io::Result<()> {
        if telemetry::is_json() {
            let counts = self.report.counts().into_iter();
            let counts = counts.map(|(name, count)| (name.to_owned(), count.into()));
            let mut fields: Map<_, Value> = counts.collect();
            let notes = self.report.notes(!self.completed);
            fields.insert("note".to_owned(), notes.join("; ").into());
            fields.insert("seconds".to_owned(), self.seconds.into());
            telemetry::entry(&self.title(), fields);
        }
        emit(self, format)
    }
}

impl<R: JobReport> Display for Summary<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in self.report.notes(!self.completed) {
            writeln!(f, "{note}")?;
        }
        write!(f, "{Now}{} seconds={:.3}", self.title(), self.seconds)?;
        let mut counts = self.report.counts().into_iter();
        counts.try_for_each(|(name, count)| write!(f, " {name}={count}"))
    }
}

/// A log in JSON has said it already.
fn emit(report: &(impl Serialize + Display), format: Format) -> std::io::Result<()> {
    if format == Format::Text && telemetry::is_json() {
        return Ok(());
    }
    output::emit(report, format)
}

/// The time in front of a line that no person watches.
struct Now;

impl Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if output::is_terminal() {
            return Ok(());
        }
        write!(
            f,
            "{} ",
            humantime::format_rfc3339_micros(SystemTime::now())
        )
    }
}

#[derive(Serialize)]
struct AlreadyRunning {
    not_alone: bool,
}

impl Display for AlreadyRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{Now}{ALREADY_RUNNING}")
    }
}

const ALREADY_RUNNING: &str = "Another instance is running; nothing was done.";

fn already_running(format: Format) -> Exit {
    if format == Format::Text && telemetry::is_json() {
        telemetry::entry(ALREADY_RUNNING, Map::new());
    }
    emit(&AlreadyRunning { not_alone: true }, format)?;
    Ok(ExitStatus::AlreadyRunning)
}

/// Host, process and a number that tells apart processes of the same id.
pub(super) fn processor_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = std::env::var("HOSTNAME")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or(host);
    let run: u32 = rand::random();
    format!("{}:{}:{run:08x}", host.trim(), std::process::id())
}

/// Only where the log has been turned down: an entry on the same terminal would tear the bar, and says
/// the same.
fn progress_bar(format: Format) -> ProgressBar {
    if tracing::enabled!(tracing::Level::INFO) {
        return ProgressBar::hidden();
    }
    output::progress_bar(format)
}
