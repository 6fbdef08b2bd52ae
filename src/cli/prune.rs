//! `prune`: deletes what is done and old.

use std::fmt;

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::human::counted;
use super::{Exit, ExitStatus, connect, grant_failure, output, signals};
use crate::config::{Config, Format};
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

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let Some(older_than) = config.prune_older_than else {
        output::emit(&Off { off: true }, format)?;
        return Ok(ExitStatus::Success);
    };
    let Arguments { events, dry_run } = arguments;
    let options = PruneOptions { older_than, events };
    let database = config.database()?;
    let mut session = connect(&database).await?;
    let stop = if dry_run {
        CancellationToken::new()
    } else {
        signals::stop_on_signal()?
    };
    let bar = output::progress_bar(format);
    let progress = &mut |report: &PruneReport| {
        bar.set_message(totals(report, events));
        bar.tick();
    };
    let mut done = None;
    let result = async {
        let mut prune = Prune::new(&mut session, options).await?;
        if dry_run {
            done = Some(prune.dry_run(&mut session).await?);
            return Ok(());
        }
        let result = prune.execute(&mut session, &stop, progress).await;
        // What went before an error is gone all the same.
        done = Some(prune.report().clone()).filter(|report| result.is_ok() || report.has_deleted());
        result
    };
    let result: Result<(), sqlx::Error> = result.await;
    bar.finish_and_clear();
    if let Some(report) = done {
        let done = Done {
            dry_run,
            with_events: events,
            report,
        };
        output::emit(&done, format)?;
    }
    match result {
        Ok(()) => Ok(ExitStatus::Success),
        Err(error) => {
            let variable = if events { "prune=events" } else { "prune=1" };
            Err(grant_failure(&database, &mut session, error, variable).await)
        }
    }
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
struct Done {
    dry_run: bool,
    #[serde(skip)]
    with_events: bool,
    #[serde(flatten)]
    report: PruneReport,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let (deleted, went) = if self.dry_run {
            ("Nothing was deleted. Would delete", "would go")
        } else {
            ("Deleted", "went")
        };
        let before = report.older_than.format("%Y-%m-%d %H:%M:%S UTC");
        let totals = totals(report, self.with_events);
        writeln!(f, "{deleted} what was done before {before}: {totals}.")?;
        if !report.cascades_to.is_empty() && report.events_count > 0 {
            let tables = report.cascades_to.join(", ");
            writeln!(
                f,
                "With the events {went} their rows in {tables} (ON DELETE CASCADE)."
            )?;
        }
        if report.stopped_early && !self.dry_run {
            writeln!(
                f,
                "Stopped before everything was examined: run it again to continue."
            )?;
        }
        Ok(())
    }
}

fn totals(report: &PruneReport, with_events: bool) -> String {
    let one_and_many = [
        ("read notification", "read notifications"),
        ("sent e-mail", "sent e-mails"),
        ("finished delivery", "finished deliveries"),
        ("processing row", "processing rows"),
        ("event", "events"),
    ];
    let counts = [
        report.notifications_count,
        report.emails_count,
        report.deliveries_count,
        report.processing_rows_count,
        report.events_count,
    ];
    let totals = counts.into_iter().zip(one_and_many);
    let totals: Vec<_> = totals
        .take(if with_events { 5 } else { 4 })
        .map(|(count, (one, many))| counted(count, one, many))
        .collect();
    totals.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_deleted_or_would_be() {
        let mut done = Done {
            dry_run: false,
            with_events: true,
            report: PruneReport {
                notifications_count: 12_345,
                emails_count: 1,
                deliveries_count: 2_001,
                processing_rows_count: 5_000,
                events_count: 4_321,
                cascades_to: vec!["audit_log".to_owned()],
                stopped_early: true,
                ..PruneReport::default()
            },
        };
        insta::assert_snapshot!(done, @"
        Deleted what was done before 1970-01-01 00:00:00 UTC: 12,345 read notifications, 1 sent e-mail, 2,001 finished deliveries, 5,000 processing rows, 4,321 events.
        With the events went their rows in audit_log (ON DELETE CASCADE).
        Stopped before everything was examined: run it again to continue.
        ");
        (done.dry_run, done.with_events) = (true, false);
        done.report.events_count = 0;
        insta::assert_snapshot!(done, @"Nothing was deleted. Would delete what was done before 1970-01-01 00:00:00 UTC: 12,345 read notifications, 1 sent e-mail, 2,001 finished deliveries, 5,000 processing rows.");
    }
}
