//! `migrate`: brings the database's schema up to date.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{ExitStatus, Failure, connect, database_failure, doctor, output};
use crate::config::{Config, Format};
use crate::db::migrate::{MigrateReport, Revert, migrate, pending, plan_revert, revert, script};
use crate::db::{Database, Session};
use crate::ops::doctor::adoption;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out migrate           apply what is missing; run again, it does nothing
  notify-fan-out migrate --check   only tell what is missing (exit code 6 if anything is)
  notify-fan-out migrate --print   only print the SQL that it would run here
  notify-fan-out migrate --revert  take everything out again, after a summary and a question

It is safe beside a running application: it adds, it never rewrites the application's rows, and
indexes are built concurrently.")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the command line's flags"
)]
pub(super) struct Arguments {
    /// Change nothing; tell what is missing
    #[arg(long, conflicts_with_all = ["print", "revert"])]
    check: bool,
    /// Change nothing; print the SQL that would run
    #[arg(long, conflicts_with = "revert")]
    print: bool,
    /// Take out all that migrate made: triggers, functions, tables, columns, indexes
    #[arg(long)]
    revert: bool,
    /// Revert without asking
    #[arg(long, requires = "revert")]
    yes: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let database = config.database()?;
    let max_event_age = config.max_event_age;
    let mut session = connect(&database).await?;
    if arguments.check {
        return check(&database, &mut session, max_event_age, format).await;
    }
    if arguments.print {
        let script = script(&mut session).await?;
        match format {
            Format::Json => output::json(&json!({ "sql": script }))?,
            Format::Text => output::text(&script)?,
        }
        return Ok(ExitStatus::Success);
    }
    if arguments.revert {
        return take_out(&mut session, &database.describe(), arguments.yes, format).await;
    }
    let report = migrate(&mut session, max_event_age).await?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Text => output::text(&text_of(&report))?,
    }
    Ok(ExitStatus::Success)
}

/// Tells what is missing, and of a database that was never migrated what an adoption would find.
async fn check(
    database: &Database,
    session: &mut Session,
    max_event_age: Duration,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let pending = pending(session).await?;
    let found = if pending.is_adoption {
        let found = adoption(session, max_event_age).await;
        found.map_err(|error| database_failure(database, error))?
    } else {
        Vec::new()
    };
    let objects = pending.objects.into_iter().map(|object| object.label);
    let missing: Vec<_> = pending.migrations.into_iter().chain(objects).collect();
    match format {
        Format::Json => output::json(&json!({ "pending": missing, "checks": found }))?,
        Format::Text if missing.is_empty() => output::text("The schema is up to date.")?,
        Format::Text => {
            output::text(&format!("Missing or outdated: {}", missing.join(", ")))?;
            output::text(&doctor::findings(&found, output::Style::stdout()))?;
        }
    }
    Ok(if missing.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::CheckFailed
    })
}

/// Reverts, once a person or `--yes` has said so.
async fn take_out(
    session: &mut Session,
    place: &str,
    yes: bool,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let plan = plan_revert(session).await?;
    if plan == Revert::default() {
        match format {
            Format::Json => output::json(&plan)?,
            Format::Text => output::text("There is nothing of the service in this database.")?,
        }
        return Ok(ExitStatus::Success);
    }
    if format == Format::Text {
        output::text(&summary(&plan, place))?;
    }
    if !yes && !is_confirmed()? {
        return Err(Failure::Usage(
            "nothing was changed; migrate --revert asks on a terminal, elsewhere it needs --yes"
                .to_owned(),
        ));
    }
    let done = revert(session).await?;
    match format {
        Format::Json => output::json(&done)?,
        Format::Text => output::text("Reverted.")?,
    }
    Ok(ExitStatus::Success)
}

fn is_confirmed() -> std::io::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Take all of this out? Type yes: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn summary(plan: &Revert, place: &str) -> String {
    let mut summary = format!("Taken out of {place}:\n");
    for (title, things) in [
        ("", &plan.takes_out),
        ("Lost with it:\n", &plan.loses),
        ("Stays, as it holds rows:\n", &plan.keeps),
    ] {
        if !things.is_empty() {
            let _ = writeln!(summary, "{title}  {}", things.join("\n  "));
        }
    }
    summary
}

fn text_of(report: &MigrateReport) -> String {
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
