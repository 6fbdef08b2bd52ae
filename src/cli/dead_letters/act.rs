//! `dead-letters retry` and `dead-letters discard`.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::filters::{Filters, what_there_is};
use crate::cli::human::{count, counted, it_or_them};
use crate::cli::{ExitStatus, Failure, connect, database_failure, output, signals};
use crate::config::{Config, Format};
use crate::ops::dead_letters::{Action, ActionReport, Filter, State, act, preview};

/// Deliveries that are named one by one in text, for each state; JSON has them all.
const MOST_NAMED: usize = 20;

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
    let filter = Filter::from(arguments.filters);
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
        let would = preview(&mut session, action, &filter).await;
        (would.map_err(refused)?, Ok(()))
    } else {
        let stop = signals::stop_on_signal()?;
        act(&mut session, action, &filter, &stop).await
    };
    // What was changed before an error is changed all the same.
    if result.is_ok() || report.deliveries_count > 0 {
        match format {
            Format::Json => output::json(&Document {
                action,
                dry_run,
                report: &report,
            })?,
            Format::Text => {
                let mut words = in_words(action, &report, dry_run);
                if report.deliveries_count == 0 {
                    let hint = what_there_is(&mut session, &filter).await;
                    words.push_str(&hint.map_err(refused)?);
                }
                output::text(&words)?;
            }
        }
    }
    result.map_err(refused)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Document<'a> {
    action: Action,
    dry_run: bool,
    #[serde(flatten)]
    report: &'a ActionReport,
}

fn in_words(action: Action, report: &ActionReport, dry_run: bool) -> String {
    let mut words = String::new();
    if report.deliveries_count == 0 {
        words.push_str("No dead letter matches; nothing was changed.\n");
    } else {
        let letters = counted(report.deliveries_count, "dead letter", "dead letters");
        let _ = match (action, dry_run) {
            (Action::Retry, true) => {
                writeln!(words, "Would put back {letters} (nothing was changed):")
            }
            (Action::Retry, false) => writeln!(
                words,
                "Put back {letters}; the next notify-fan-out deliver takes {} up:",
                it_or_them(report.deliveries_count)
            ),
            (Action::Discard, true) => {
                writeln!(words, "Would discard {letters} (nothing was changed):")
            }
            (Action::Discard, false) => writeln!(words, "Discarded {letters}:"),
        };
        for (channel, number) in &report.deliveries_count_by_channel {
            let _ = writeln!(words, "  {channel:<7}  {}", count(*number));
        }
        notes(&mut words, action, report);
    }
    let mut states: Vec<State> = report.not_touched.iter().map(|one| one.state).collect();
    states.sort_unstable();
    states.dedup();
    for state in states {
        let of_state = report.not_touched.iter().filter(|one| one.state == state);
        let number = of_state.clone().count();
        let mut named: Vec<String> = of_state
            .take(MOST_NAMED)
            .map(|one| one.delivery_id.to_string())
            .collect();
        if number > MOST_NAMED {
            named.push(format!("and {} more", count((number - MOST_NAMED) as u64)));
        }
        let _ = writeln!(
            words,
            "Not touched: {} ({})",
            named.join(", "),
            because(state)
        );
    }
    if report.stopped_early {
        words.push_str("Stopped before all were changed: run it again to go on.\n");
    }
    words
}

/// What to know about what was put back.
fn notes(words: &mut String, action: Action, report: &ActionReport) {
    if action == Action::Discard {
        return;
    }
    if report.uncertain_count > 0 {
        let _ = writeln!(
            words,
            "{} of these may have arrived already, and would then arrive twice.",
            count(report.uncertain_count)
        );
    }
    if report.to_disabled_count > 0 {
        let (lead, are) = match report.to_disabled_count {
            1 => ("leads", "it is"),
            _ => ("lead", "they are"),
        };
        let _ = writeln!(
            words,
            "{} of these {lead} to an endpoint that is disabled or gone: unless that is enabled first, \
             {are} cancelled, not sent.",
            count(report.to_disabled_count)
        );
    }
}

fn because(state: State) -> &'static str {
    match state {
        State::Pending => "pending already: sent when it is due",
        State::Sending => "being sent",
        State::Delivered => "delivered",
        State::Cancelled => "cancelled or discarded",
        State::FilteredOut => "a dead letter, but the other filters exclude it",
        State::NoSuchDelivery => "no such delivery",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::dead_letters::NotTouched;

    #[test]
    fn says_what_to_expect_and_which_were_not_touched() {
        let not_touched = [
            (17, State::Delivered),
            (18, State::NoSuchDelivery),
            (19, State::Delivered),
        ];
        let report = ActionReport {
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
        insta::assert_snapshot!(in_words(Action::Retry, &report, false), @"
        Put back 1,201 dead letters; the next notify-fan-out deliver takes them up:
          sms      1
          webhook  1,200
        1 of these may have arrived already, and would then arrive twice.
        3 of these lead to an endpoint that is disabled or gone: unless that is enabled first, they are cancelled, not sent.
        Not touched: 17, 19 (delivered)
        Not touched: 18 (no such delivery)
        Stopped before all were changed: run it again to go on.
        ");
        insta::assert_snapshot!(in_words(Action::Discard, &report, true), @"
        Would discard 1,201 dead letters (nothing was changed):
          sms      1
          webhook  1,200
        Not touched: 17, 19 (delivered)
        Not touched: 18 (no such delivery)
        Stopped before all were changed: run it again to go on.
        ");
        insta::assert_snapshot!(in_words(Action::Discard, &ActionReport::default(), false), @"No dead letter matches; nothing was changed.");
    }

    #[test]
    fn one_is_spoken_of_as_one() {
        let one = ActionReport {
            deliveries_count: 1,
            deliveries_count_by_channel: [("sms".to_owned(), 1)].into(),
            to_disabled_count: 1,
            ..ActionReport::default()
        };
        insta::assert_snapshot!(in_words(Action::Retry, &one, false), @"
        Put back 1 dead letter; the next notify-fan-out deliver takes it up:
          sms      1
        1 of these leads to an endpoint that is disabled or gone: unless that is enabled first, it is cancelled, not sent.
        ");
    }
}
