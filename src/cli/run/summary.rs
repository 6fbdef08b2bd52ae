//! The last line of a run.

use super::{hint, left, output};
use crate::config::{Format, LogFormat};
use crate::fan_out::FanOutReport;
use crate::telemetry;

/// Prints what the run did: one line, `Job completed` and the counts, or `Job stopped` where it
/// failed; JSON on request. A log in JSON gets it as an entry instead of the line.
pub(super) fn print(
    report: &FanOutReport,
    seconds: f64,
    failed: bool,
    format: Format,
    log: LogFormat,
) -> std::io::Result<()> {
    let notes = notes(report, failed);
    if log == LogFormat::Json {
        tracing::info!(
            target: telemetry::SUMMARY,
            note = notes.join("; "),
            seconds,
            events = report.events,
            notifications = report.notifications,
            merged = report.merged,
            emails = report.emails,
            deliveries = report.deliveries,
            suppressed = report.suppressed,
            failed = report.failed,
            retried = report.retried,
            released = report.released,
            rescued = report.rescued,
            expired = report.expired,
            ignored = report.ignored,
            expired_unhandled = report.expired_unhandled_count(),
            "Job {}",
            output::ending(failed),
        );
    }
    match format {
        Format::Json => output::report(report, seconds, failed),
        Format::Text => output::ended(&notes, &line(report, seconds, failed)),
    }
}

fn notes(report: &FanOutReport, failed: bool) -> Vec<String> {
    let left = left(report).map(|left| format!("{left}: the next run continues"));
    let is_idle = report.is_idle() && !failed && left.is_none();
    let idle = is_idle.then(|| "Nothing is due.".to_owned());
    let hint = hint(report).map(str::to_owned);
    idle.into_iter().chain(left).chain(hint).collect()
}

fn line(report: &FanOutReport, seconds: f64, failed: bool) -> String {
    let ending = output::ending(failed);
    format!(
        "Job {ending} seconds={seconds:.3} events={} notifications={} merged={} emails={} \
         deliveries={} suppressed={} failed={} retried={} released={} rescued={} expired={} \
         ignored={} expired_unhandled={}",
        report.events,
        report.notifications,
        report.merged,
        report.emails,
        report.deliveries,
        report.suppressed,
        report.failed,
        report.retried,
        report.released,
        report.rescued,
        report.expired,
        report.ignored,
        report.expired_unhandled_count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_carries_every_count() {
        let report = FanOutReport {
            events: 16,
            notifications: 31,
            merged: 2,
            emails: 7,
            deliveries: 3,
            suppressed: 5,
            failed: 1,
            ..FanOutReport::default()
        };
        insta::assert_snapshot!(line(&report, 0.4126, false), @"Job completed seconds=0.413 events=16 notifications=31 merged=2 emails=7 deliveries=3 suppressed=5 failed=1 retried=0 released=0 rescued=0 expired=0 ignored=0 expired_unhandled=0");
    }
}
