//! `migrate`: brings the database's schema up to date.

use std::fmt::{self, Display};

use clap::Args;
use serde::Serialize;

use super::output::{self, Style};
use super::{Exit, ExitStatus, Failure, connect, database_failure, doctor};
use crate::config::{Config, Format};
use crate::db::Session;
use crate::db::migrate::{MigrateReport, Revert, migrate, pending, plan_revert, revert, script};
use crate::ops::doctor::{Finding, adoption};

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

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let database = config.database()?;
    let mut session = connect(&database).await?;
    if arguments.check {
        let mut check = Check::of_schema(&mut session).await?;
        if check.is_adoption {
            let found = adoption(&mut session, config.max_event_age).await;
            check.checks = found.map_err(|error| database_failure(&database, error))?;
        }
        output::emit(&check, format)?;
        return Ok(check.status());
    }
    if arguments.print {
        let sql = script(&mut session).await?;
        output::emit(&Script { sql }, format)?;
    } else if arguments.revert {
        let place = database.describe();
        take_out(&mut session, &place, arguments.yes, format).await?;
    } else {
        let report = migrate(&mut session, config.max_event_age).await?;
        output::emit(&report, format)?;
    }
    Ok(ExitStatus::Success)
}

/// What is missing, and of a database that was never migrated what an adoption would find.
#[derive(Serialize)]
struct Check {
    pending: Vec<String>,
    checks: Vec<Finding>,
    #[serde(skip)]
    is_adoption: bool,
}

impl Check {
    async fn of_schema(session: &mut Session) -> Result<Self, Failure> {
        let missing = pending(session).await?;
        let objects = missing.objects.into_iter().map(|object| object.label);
        Ok(Self {
            pending: missing.migrations.into_iter().chain(objects).collect(),
            checks: Vec::new(),
            is_adoption: missing.is_adoption,
        })
    }

    fn status(&self) -> ExitStatus {
        if self.pending.is_empty() {
            ExitStatus::Success
        } else {
            ExitStatus::CheckFailed
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pending.is_empty() {
            return f.write_str("The schema is up to date.");
        }
        writeln!(f, "Missing or outdated: {}", self.pending.join(", "))?;
        f.write_str(&doctor::findings(&self.checks, Style::of(f)))
    }
}

#[derive(Serialize)]
struct Script {
    sql: String,
}

impl Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

/// Reverts, once a person or `--yes` has said so.
async fn take_out(
    session: &mut Session,
    place: &str,
    yes: bool,
    format: Format,
) -> Result<(), Failure> {
    let plan = plan_revert(session).await?;
    if plan == Revert::default() {
        return Ok(output::emit(&Reverted(plan), format)?);
    }
    if format == Format::Text {
        output::text(&summary(&plan, place))?;
    }
    let is_confirmed =
        yes || output::ask("Take all of this out? Type yes: ")?.as_deref() == Some("yes");
    if !is_confirmed {
        return Err(Failure::Usage(
            "nothing was changed; migrate --revert asks on a terminal, elsewhere it needs --yes"
                .to_owned(),
        ));
    }
    let reverted = Reverted(revert(session).await?);
    Ok(output::emit(&reverted, format)?)
}

fn summary(plan: &Revert, place: &str) -> String {
    let parts = [
        ("", &plan.takes_out),
        ("Lost with it:\n", &plan.loses),
        ("Stays, as it holds rows:\n", &plan.keeps),
    ];
    let parts = parts.into_iter().filter(|(_, things)| !things.is_empty());
    let parts = parts.map(|(title, things)| format!("{title}  {}\n", things.join("\n  ")));
    format!("Taken out of {place}:\n{}", parts.collect::<String>())
}

#[derive(Serialize)]
#[serde(transparent)]
struct Reverted(Revert);

impl Display for Reverted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 == Revert::default() {
            "There is nothing of the service in this database."
        } else {
            "Reverted."
        })
    }
}

impl Display for MigrateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("The schema is up to date.");
        }
        let online = &self.online;
        for (what, names) in [
            ("applied", &self.applied),
            ("made", &self.objects),
            ("index", &online.indexes),
        ] {
            for name in names {
                writeln!(f, "{what:<7}  {name}")?;
            }
        }
        for (count, what) in [
            (
                online.backfilled_pending,
                "events found without a processing row, pending now",
            ),
            (
                online.backfilled_expired,
                "events too old for it, recorded as failed (expired)",
            ),
            (online.backfilled_once, "nudges of an older job remembered"),
        ] {
            if count > 0 {
                writeln!(f, "filled   {count} {what}")?;
            }
        }
        Ok(())
    }
}
