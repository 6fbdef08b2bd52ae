//! `doctor`: whether everything is set up, and what to do where it isn't.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::output::Style;
use super::{ExitStatus, Failure, database_failure, output, wiring};
use crate::channels::{Transport as _, Twilio};
use crate::config::{Config, Format, InvalidConfig};
use crate::ops::doctor::{ConfiguredTransport, Finding, MetricsFile, Setup, Severity, diagnose};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out doctor                  exit code 0, or 6 if there is a problem
  notify-fan-out doctor --format json | jq '.checks[] | select(.verdict != \"ok\")'

Run it as the job's user with the job's environment. It changes nothing. A warning is no problem:
the job works.")]
pub(super) struct Arguments {}

pub(super) async fn execute(
    _arguments: Arguments,
    config: &Config,
    wrong: &[InvalidConfig],
    format: Format,
) -> Result<ExitStatus, Failure> {
    let database = config.database()?;
    let checks = diagnose(&database, &setup(config, wrong))
        .await
        .map_err(|error| database_failure(&database, error))?;
    let severity = checks
        .iter()
        .map(|check| check.severity)
        .max()
        .unwrap_or(Severity::Ok);
    match format {
        Format::Json => output::json(&json!({ "verdict": severity, "checks": checks }))?,
        Format::Text => output::text(&text_of(&checks, Style::stdout()))?,
    }
    Ok(if severity == Severity::Problem {
        ExitStatus::CheckFailed
    } else {
        ExitStatus::Success
    })
}

/// What the jobs are given. What is wrong of it is a finding, and no reason to look at nothing else.
fn setup(config: &Config, wrong: &[InvalidConfig]) -> Setup {
    let mut setup = Setup::default();
    let invalid = &mut setup.invalid;
    if valid(wiring::outgoing(config), invalid).is_some() {
        let transport = |name: Option<&'static str>| {
            name.map_or(ConfiguredTransport::Missing, ConfiguredTransport::Named)
        };
        if let Some(mail) = valid(wiring::mail(config), invalid) {
            setup.mails = transport(mail.map(|mail| mail.mailer.name()));
        }
        if let Some(twilio) = valid(wiring::twilio(config), invalid) {
            setup.texts = transport(twilio.map(|_| Twilio::NAME));
        }
    }
    invalid.extend(wrong.iter().map(ToString::to_string));
    setup.encryption = valid(config.encryption(), invalid);
    setup.overdue_after = Some(config.overdue_after);
    setup.prune_older_than = config.prune_older_than;
    setup.mute_covers_email = config.mute_covers_email;
    for (variable, path) in [
        ("NOTIFY_FANOUT_METRICS_FILE", &config.metrics_file),
        (
            "NOTIFY_DELIVERY_METRICS_FILE",
            &config.delivery_metrics_file,
        ),
    ] {
        let path = path.clone();
        let file = path.map(|path| MetricsFile { variable, path });
        setup.metrics_files.extend(file);
    }
    setup
}

/// What was read, if it is right; else why not is noted, once.
fn valid<T>(read: Result<T, InvalidConfig>, invalid: &mut Vec<String>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            let error = error.to_string();
            if !invalid.contains(&error) {
                invalid.push(error);
            }
            None
        }
    }
}

/// The findings, a line each, with what to do.
pub(super) fn findings(checks: &[Finding], style: Style) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut words = String::new();
    for check in checks {
        let severity = match check.severity {
            Severity::Ok => style.good("ok     "),
            Severity::Warn => style.warn("warn   "),
            Severity::Problem => style.bad("problem"),
        };
        let _ = writeln!(words, "{severity}  {:<width$}  {}", check.name, check.found);
        if let Some(advice) = &check.advice {
            let indent = format!("\n{:13}{:<width$}", "", "");
            let advice = advice.replace('\n', &indent);
            let _ = writeln!(words, "{:9}{:<width$}  → {advice}", "", "");
        }
    }
    words
}

fn text_of(checks: &[Finding], style: Style) -> String {
    let mut words = findings(checks, style);
    let count = |severity| {
        checks
            .iter()
            .filter(|check| check.severity == severity)
            .count()
    };
    let _ = match (count(Severity::Problem), count(Severity::Warn)) {
        (0, 0) => writeln!(words, "\nAll is well."),
        (0, warnings) => writeln!(words, "\nThe job works. Warnings: {warnings}."),
        (problems, warnings) => writeln!(words, "\nProblems: {problems}. Warnings: {warnings}."),
    };
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, severity: Severity, found: &str, advice: Option<&str>) -> Finding {
        Finding {
            name,
            severity,
            found: found.to_owned(),
            advice: advice.map(str::to_owned),
        }
    }

    #[test]
    fn findings_are_aligned_and_counted() {
        let checks = [
            check("server", Severity::Ok, "PostgreSQL 15.14", None),
            check(
                "queue",
                Severity::Warn,
                "2 events have no processing row",
                Some("run migrate"),
            ),
            check(
                "row level security",
                Severity::Problem,
                "hides rows of profiles",
                Some("a policy"),
            ),
        ];
        insta::assert_snapshot!(text_of(&checks, Style::plain()), @r"
        ok       server              PostgreSQL 15.14
        warn     queue               2 events have no processing row
                                     → run migrate
        problem  row level security  hides rows of profiles
                                     → a policy

        Problems: 1. Warnings: 1.
        ");
        insta::assert_snapshot!(text_of(&checks[..1], Style::plain()), @r"
        ok       server  PostgreSQL 15.14

        All is well.
        ");
        insta::assert_snapshot!(text_of(&checks[..2], Style::plain()), @r"
        ok       server  PostgreSQL 15.14
        warn     queue   2 events have no processing row
                         → run migrate

        The job works. Warnings: 1.
        ");
    }
}
