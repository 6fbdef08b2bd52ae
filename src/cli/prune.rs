//! `prune`: deletes what is done and old.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::human::counted;
use super::{ExitStatus, Failure, connect, grant_failure, output, signals};
use crate::config::{Config, Format};
use crate::db::Session;
use crate::ops::prune::{Prune, PruneOptions, PruneReport};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out prune --older-than 30d --dry-run   count, and delete nothing
  notify-fan-out prune                              what was done 90 days ago, as each night
  notify-fan-out prune --older-than 30d --events    and events, once nothing refers to them

NOTIFY_PRUNE_OLDER_THAN=off turns it off: then a prune without --older-than deletes nothing.

Deleted are notifications that were read, e-mails that were sent, deliveries that
arrived, e-mails and deliveries that were cancelled, and processing rows of events
that were completed longer ago than that; never what is unread, not sent, pending,
failed, dead or uncertain. An event stays as long as one of its notifications,
e-mails or deliveries does. Without its processing row it is not processed again:
notification_pruned remembers it.

Every batch commits by itself. SIGTERM or Ctrl-C stops after the batch in hand; run
it again to go on.")]
pub(super) struct Arguments {
    /// Delete completed domain events as well
    #[arg(long)]
    events: bool,
    /// Count what would be deleted, in a transaction that cannot write
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let Some(older_than) = config.prune_older_than else {
        output::emit(&Off { off: true }, format)?;
        return Ok(ExitStatus::Success);
    };
    let scope = PruneOptions {
        older_than,
        events: arguments.events,
    };
    let database = config.database()?;
    let mut session = connect(&database).await?;
    match carry_out(&mut session, scope, arguments.dry_run, format).await? {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) => {
            let variable = if scope.events {
                "prune=events"
            } else {
                "prune=1"
            };
            Err(grant_failure(&database, &mut session, error, variable).await)
        }
    }
}

/// Prunes, or counts what would go, and tells of it. The inner error is the database's.
async fn carry_out(
    session: &mut Session,
    scope: PruneOptions,
    dry_run: bool,
    format: Format,
) -> Result<Result<(), sqlx::Error>, Failure> {
    let mut prune = match Prune::new(session, scope).await {
        Ok(prune) => prune,
        Err(error) => return Ok(Err(error)),
    };
    if dry_run {
        let result = prune.dry_run(session).await;
        if let Ok(report) = &result {
            output::emit(
                &Done {
                    dry_run,
                    with_events: scope.events,
                    report,
                },
                format,
            )?;
        }
        return Ok(result.map(drop));
    }
    let stop = signals::stop_on_signal()?;
    let bar = output::progress_bar(format);
    let result = prune
        .execute(session, &stop, &mut |report| {
            bar.set_message(totals(report, scope.events));
            bar.tick();
        })
        .await;
    bar.finish_and_clear();
    // What went before an error is gone all the same.
    if result.is_ok() || prune.report().has_deleted() {
        let report = prune.report();
        output::emit(
            &Done {
                dry_run,
                with_events: scope.events,
                report,
            },
            format,
        )?;
    }
    Ok(result)
}

#[derive(Serialize)]
struct Off {
    off: bool,
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NOTIFY_PRUNE_OLDER_THAN is off; nothing was deleted.")
    }
}

#[derive(Serialize)]
struct Done<'a> {
    dry_run: bool,
    #[serde(skip)]
    with_events: bool,
    #[serde(flatten)]
    report: &'a PruneReport,
}

impl fmt::Display for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dry_run,
            with_events,
            report,
        } = *self;
        let (deleted, went) = if dry_run {
            ("Nothing was deleted. Would delete", "would go")
        } else {
            ("Deleted", "went")
        };
        let before = report.older_than.format("%Y-%m-%d %H:%M:%S UTC");
        let totals = totals(report, with_events);
        writeln!(f, "{deleted} what was done before {before}: {totals}.")?;
        if !report.cascades_to.is_empty() && report.events_count > 0 {
            let tables = report.cascades_to.join(", ");
            writeln!(
                f,
                "With the events {went} their rows in {tables} (ON DELETE CASCADE)."
            )?;
        }
        if report.stopped_early && !dry_run {
            writeln!(
                f,
                "Stopped before everything was examined: run it again to continue."
            )?;
        }
        Ok(())
    }
}

fn totals(report: &PruneReport, with_events: bool) -> String {
    let totals = [
        (
            report.notifications_count,
            "read notification",
            "read notifications",
        ),
        (report.emails_count, "sent e-mail", "sent e-mails"),
        (
            report.deliveries_count,
            "finished delivery",
            "finished deliveries",
        ),
        (
            report.processing_rows_count,
            "processing row",
            "processing rows",
        ),
        (report.events_count, "event", "events"),
    ];
    let shown = if with_events { 5 } else { 4 };
    let totals = totals[..shown].iter();
    let totals: Vec<_> = totals
        .map(|(count, one, many)| counted(*count, one, many))
        .collect();
    totals.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> PruneReport {
        PruneReport {
            older_than: chrono::DateTime::UNIX_EPOCH,
            notifications_count: 12_345,
            emails_count: 1,
            deliveries_count: 2_001,
            attempts_count: 2_040,
            dedup_keys_count: 7,
            processing_rows_count: 5_000,
            events_count: 4_321,
            cascades_to: vec!["audit_log".to_owned()],
            stopped_early: true,
        }
    }

    #[test]
    fn says_what_was_deleted() {
        let done = Done {
            dry_run: false,
            with_events: true,
            report: &report(),
        };
        insta::assert_snapshot!(done, @"
        Deleted what was done before 1970-01-01 00:00:00 UTC: 12,345 read notifications, 1 sent e-mail, 2,001 finished deliveries, 5,000 processing rows, 4,321 events.
        With the events went their rows in audit_log (ON DELETE CASCADE).
        Stopped before everything was examined: run it again to continue.
        ");
    }

    #[test]
    fn a_dry_run_says_that_nothing_was() {
        let report = PruneReport {
            events_count: 0,
            ..report()
        };
        let done = Done {
            dry_run: true,
            with_events: false,
            report: &report,
        };
        insta::assert_snapshot!(done, @"Nothing was deleted. Would delete what was done before 1970-01-01 00:00:00 UTC: 12,345 read notifications, 1 sent e-mail, 2,001 finished deliveries, 5,000 processing rows.");
    }
}
