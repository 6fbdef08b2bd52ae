//! `dead-letters retry` and `dead-letters discard`.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::filters::{Filters, what_there_is};
use crate::cli::human::{count, counted};
use crate::cli::{ExitStatus, Failure, bulk, connect, database_failure, output, signals};
use crate::config::{Config, Format};
use crate::ops::dead_letters::{
    Action, DeadLetterFilter, DeadLetterReport, DeliveryState, apply, count_matching,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    /// Count what would be changed, in a transaction that cannot write
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(
    action: Action,
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let dry_run = arguments.dry_run;
    let filter = DeadLetterFilter::from(arguments.filters);
    if filter.is_empty() {
        return Err(Failure::Usage(
            "which dead letters? Name their ids, --channel, --type, --status, --error TEXT, --age TIME, \
             --newer-than TIME or --target NAME; there is no flag for all of them. \
             notify-fan-out dead-letters list shows what there is"
                .to_owned(),
        ));
    }
    let database = config.database()?;
    let refused = |error| database_failure(&database, error);
    let mut session = connect(&database).await?;
    let (report, result) = if dry_run {
        let would = count_matching(&mut session, action, &filter).await;
        (would.map_err(refused)?, Ok(()))
    } else {
        let stop = signals::stop_on_signal()?;
        apply(&mut session, action, &filter, &stop).await
    };
    // What was changed before an error is changed all the same.
    if result.is_ok() || report.deliveries_count > 0 {
        let hint = if format == Format::Text && report.deliveries_count == 0 {
            what_there_is(&mut session, &filter)
                .await
                .map_err(refused)?
        } else {
            String::new()
        };
        let done = Done {
            action,
            dry_run,
            report,
            hint,
        };
        output::emit(&done, format)?;
    }
    result.map_err(refused)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Done {
    action: Action,
    dry_run: bool,
    #[serde(flatten)]
    report: DeadLetterReport,
    /// What to know where nothing matches.
    #[serde(skip)]
    hint: String,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        if report.deliveries_count == 0 {
            writeln!(f, "No dead letter matches; nothing was changed.")?;
        } else {
            let letters = counted(report.deliveries_count, "dead letter", "dead letters");
            match (self.action, self.dry_run) {
                (Action::Retry, true) => {
                    writeln!(f, "Would requeue {letters} (nothing was changed):")?;
                }
                (Action::Retry, false) => {
                    writeln!(f, "Requeued {letters} for the next notify-fan-out deliver:")?;
                }
                (Action::Discard, true) => {
                    writeln!(f, "Would discard {letters} (nothing was changed):")?;
                }
                (Action::Discard, false) => writeln!(f, "Discarded {letters}:")?,
            }
            for (channel, number) in &report.deliveries_count_by_channel {
                writeln!(f, "  {channel:<7}  {}", count(*number))?;
            }
            if self.action == Action::Retry {
                requeue_notes(f, report)?;
            }
        }
        let left = report.not_touched.iter();
        let left = left.map(|one| (one.delivery_id, because(one.state)));
        bulk::left_out(f, "Not touched", left)?;
        if report.stopped_early {
            writeln!(
                f,
                "Stopped before all were changed: run it again to continue."
            )?;
        }
        f.write_str(&self.hint)
    }
}

fn requeue_notes(f: &mut fmt::Formatter<'_>, report: &DeadLetterReport) -> fmt::Result {
    let DeadLetterReport {
        uncertain_count: uncertain,
        to_disabled_count: to_disabled,
        ..
    } = *report;
    if uncertain > 0 {
        let uncertain = count(uncertain);
        writeln!(
            f,
            "{uncertain} of these may have arrived already, and would then arrive twice."
        )?;
    }
    if to_disabled > 0 {
        let to_disabled = count(to_disabled);
        writeln!(
            f,
            "{to_disabled} of these: the endpoint is disabled or removed. Unless it is enabled first, the \
             delivery is cancelled."
        )?;
    }
    Ok(())
}

fn because(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending already: sent when it is due",
        DeliveryState::Sending => "being sent",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Cancelled => "cancelled or discarded",
        DeliveryState::FilteredOut => "a dead letter, but the other filters exclude it",
        DeliveryState::NoSuchDelivery => "no such delivery",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::dead_letters::NotTouched;

    #[test]
    fn says_what_to_expect_and_which_were_not_touched() {
        let not_touched = [
            (17, DeliveryState::Delivered),
            (18, DeliveryState::NoSuchDelivery),
            (19, DeliveryState::Delivered),
        ];
        let report = DeadLetterReport {
            deliveries_count: 1_201,
            deliveries_count_by_channel: [("sms".to_owned(), 1), ("webhook".to_owned(), 1_200)]
                .into(),
            uncertain_count: 1,
            to_disabled_count: 3,
            emails_count: 0,
            not_touched: not_touched
                .map(|(delivery_id, state)| NotTouched { delivery_id, state })
                .into(),
            stopped_early: true,
        };
        let done = |action, dry_run, report: &DeadLetterReport| Done {
            action,
            dry_run,
            report: report.clone(),
            hint: String::new(),
        };
        insta::assert_snapshot!(done(Action::Retry, false, &report), @"
        Requeued 1,201 dead letters for the next notify-fan-out deliver:
          sms      1
          webhook  1,200
        1 of these may have arrived already, and would then arrive twice.
        3 of these: the endpoint is disabled or removed. Unless it is enabled first, the delivery is cancelled.
        Not touched: 17, 19 (delivered)
        Not touched: 18 (no such delivery)
        Stopped before all were changed: run it again to continue.
        ");
        insta::assert_snapshot!(done(Action::Discard, true, &report), @"
        Would discard 1,201 dead letters (nothing was changed):
          sms      1
          webhook  1,200
        Not touched: 17, 19 (delivered)
        Not touched: 18 (no such delivery)
        Stopped before all were changed: run it again to continue.
        ");
        insta::assert_snapshot!(done(Action::Discard, false, &DeadLetterReport::default()), @"No dead letter matches; nothing was changed.");
    }
}
