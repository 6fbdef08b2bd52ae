//! `migrate`: brings the database's schema up to date.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::{ExitStatus, Failure, connect, output};
use crate::config::{Format, Source};
use crate::db::migrate::{MigrateReport, migrate, pending};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out migrate           apply what is missing; run again, it does nothing
  notify-fan-out migrate --check   only tell what is missing (exit code 6 if anything is)

It is safe beside a running application: it adds, it never rewrites the application's rows, and
indexes are built concurrently.")]
pub(super) struct Arguments {
    /// Change nothing; tell what is missing
    #[arg(long)]
    check: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    source: &Source<'_>,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let database = source.database()?;
    let max_event_age = source.max_event_age(None)?;
    let mut session = connect(&database).await?;
    if arguments.check {
        let pending = pending(&mut session).await?;
        let objects = pending.objects.into_iter().map(|object| object.label);
        let missing: Vec<_> = pending.migrations.into_iter().chain(objects).collect();
        match format {
            Format::Json => output::json(&json!({ "pending": missing }))?,
            Format::Text if missing.is_empty() => output::text("The schema is up to date.")?,
            Format::Text => output::text(&format!("Missing or outdated: {}", missing.join(", ")))?,
        }
        return Ok(if missing.is_empty() {
            ExitStatus::Success
        } else {
            ExitStatus::CheckFailed
        });
    }
    let report = migrate(&mut session, max_event_age).await?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Text => output::text(&in_words(&report))?,
    }
    Ok(ExitStatus::Success)
}

fn in_words(report: &MigrateReport) -> String {
    if *report == MigrateReport::default() {
        return "The schema is up to date.".to_owned();
    }
    let mut words = String::new();
    for migration in &report.applied {
        let _ = writeln!(words, "applied  {migration}");
    }
    for object in &report.objects {
        let _ = writeln!(words, "made     {object}");
    }
    for index in &report.online.indexes {
        let _ = writeln!(words, "index    {index}");
    }
    for (count, what) in [
        (
            report.online.backfilled_pending,
            "events found without a processing row, pending now",
        ),
        (
            report.online.backfilled_expired,
            "events too old for it, recorded as failed (expired)",
        ),
        (
            report.online.backfilled_once,
            "nudges of an older job remembered",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(words, "filled   {count} {what}");
        }
    }
    words
}
