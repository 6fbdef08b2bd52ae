//! `doctor`: whether everything is set up, and what to do where it isn't.

use std::fmt::{self, Write as _};

use clap::Args;

use super::output::Style;
use super::{Exit, ExitStatus, database_failure, output, wiring};
use crate::channels::{Channel, Transport as _, Twilio};
use crate::config::{Config, Format, InvalidConfig};
use crate::ops::doctor::{Diagnosis, Finding, Setup, Severity, diagnose};

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
) -> Exit {
    let database = config.database()?;
    let checks = diagnose(&database, &setup(config, wrong))
        .await
        .map_err(|error| database_failure(&database, error))?;
    let diagnosis = Diagnosis::from(checks);
    output::emit(&diagnosis, format)?;
    Ok(if diagnosis.severity == Severity::Problem {
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
        if let Some(mail) = valid(wiring::mail(config), invalid) {
            let name = mail.map(|mail| mail.mailer.name());
            setup.transports.insert(Channel::Email, name);
        }
        if let Some(twilio) = valid(wiring::twilio(config), invalid) {
            let name = twilio.map(|_| Twilio::NAME);
            setup.transports.insert(Channel::Sms, name);
        }
    }
    invalid.extend(wrong.iter().map(ToString::to_string));
    setup.encryption = valid(config.encryption(), invalid);
    setup.overdue_after = Some(config.overdue_after);
    setup.prune_older_than = config.prune_older_than;
    setup.mute_covers_email = config.mute_covers_email;
    setup.wake = Some(config.wake);
    setup.listen = valid(config.listen_database(), &mut setup.invalid).flatten();
    for (variable, path) in [
        ("NOTIFY_FANOUT_METRICS_FILE", &config.metrics_file),
        (
            "NOTIFY_DELIVERY_METRICS_FILE",
            &config.delivery_metrics_file,
        ),
    ] {
        let file = path.clone().map(|path| (variable, path));
        setup.metrics_files.extend(file);
    }
    setup
}

/// What was read, if it is right; else why not is noted, once.
fn valid<T>(read: Result<T, InvalidConfig>, invalid: &mut Vec<String>) -> Option<T> {
    read.inspect_err(|error| {
        let error = error.to_string();
        if !invalid.contains(&error) {
            invalid.push(error);
        }
    })
    .ok()
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&findings(&self.checks, Style::of(f)))?;
        let count = |severity| {
            let of_severity = self.checks.iter().filter(|it| it.severity == severity);
            of_severity.count()
        };
        let warnings = count(Severity::Warn);
        match self.severity {
            Severity::Ok => writeln!(f, "\nAll is well."),
            Severity::Warn => writeln!(f, "\nThe job works. Warnings: {warnings}."),
            Severity::Problem => {
                let problems = count(Severity::Problem);
                writeln!(f, "\nProblems: {problems}. Warnings: {warnings}.")
            }
        }
    }
}

/// The findings, a line each, with what to do.
pub(super) fn findings(checks: &[Finding], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let severity = match check.severity {
            Severity::Ok => style.good("ok     "),
            Severity::Warn => style.warn("warn   "),
            Severity::Problem => style.bad("problem"),
        };
        let _ = writeln!(text, "{severity}  {:<width$}  {}", check.name, check.found);
        if let Some(advice) = &check.advice {
            let indent = format!("\n{:13}{:<width$}", "", "");
            let advice = advice.replace('\n', &indent);
            let _ = writeln!(text, "{:9}{:<width$}  → {advice}", "", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_aligned_and_counted() {
        let finding = |name, severity, advice: Option<&str>| Finding {
            name,
            severity,
            found: format!("found of {name}"),
            advice: advice.map(str::to_owned),
        };
        let findings = vec![
            finding("server", Severity::Ok, None),
            finding("queue", Severity::Warn, Some("run migrate")),
            finding("row level security", Severity::Problem, Some("two\nlines")),
        ];
        let mut diagnosis = Diagnosis::from(findings);
        insta::assert_snapshot!(diagnosis, @r"
        ok       server              found of server
        warn     queue               found of queue
                                     → run migrate
        problem  row level security  found of row level security
                                     → two
                                       lines

        Problems: 1. Warnings: 1.
        ");
        let mut last_line = |severity| {
            diagnosis.severity = severity;
            diagnosis.to_string().lines().last().map(str::to_owned)
        };
        assert_eq!(last_line(Severity::Ok).as_deref(), Some("All is well."));
        assert_eq!(
            last_line(Severity::Warn).as_deref(),
            Some("The job works. Warnings: 1.")
        );
    }
}
