//! `retry` and `discard` of failed events, and what they share with those of dead letters.

use std::fmt;

use clap::Args;

use super::human::{count, counted};
use super::{Exit, ExitStatus, Failure, connect, database_failure, dead_letters, output, signals};
use crate::config::{Config, Format};
use crate::handlers::EventType;
use crate::ops::bulk::{Action, BulkAction, BulkReport, CommonFilter, Filter, Items, State};

/// Ids that are named one by one, for each reason; JSON has them all.
const MOST_NAMED: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out retry --all --dry-run              how many failed events there are
  notify-fan-out retry 1042 1043                    these two
  notify-fan-out retry --error 'connection reset'   all whose error has that in it
  notify-fan-out retry --type document_uploaded --error 'permission denied'
  notify-fan-out status                             what failed, and why

Filters narrow each other. Only failed events are requeued: as if they had never
been tried, their age counted from now, so that the recipients of an expired one are
notified late. Their error stays readable until the next attempt is settled.")]
pub(super) struct RetryArguments {
    #[command(flatten)]
    events: Events,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out discard --error expired --dry-run  how many were too old
  notify-fan-out discard --error expired
  notify-fan-out discard 1042 1043                  these two

Filters narrow each other. Only failed events are discarded: they count as completed,
without effect, and prune deletes their rows once they are old. Nobody is notified.
It can't be undone.")]
pub(super) struct DiscardArguments {
    #[command(flatten)]
    events: Events,
}

#[derive(Debug, Args)]
struct Events {
    #[command(flatten)]
    filter: CommonFilter,
    /// All failed events that no other filter excludes
    #[arg(long)]
    all: bool,
    /// Count what would be changed, in a transaction that cannot write
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn retry(arguments: RetryArguments, config: &Config, format: Format) -> Exit {
    failed_events(Action::Retry, arguments.events, config, format).await
}

pub(super) async fn discard(arguments: DiscardArguments, config: &Config, format: Format) -> Exit {
    failed_events(Action::Discard, arguments.events, config, format).await
}

async fn failed_events(action: Action, events: Events, config: &Config, format: Format) -> Exit {
    let filter = Filter {
        common: events.filter,
        ..Filter::default()
    };
    if filter.is_empty() && !events.all {
        return Err(Failure::Usage(
            "which failed events? Name their ids, --type, --error TEXT, or --all for every one; \
             notify-fan-out status shows what failed, --help has examples"
                .to_owned(),
        ));
    }
    let bulk = BulkAction {
        items: Items::FailedEvents,
        action,
        filter: &filter,
    };
    execute(bulk, events.dry_run, config, format).await
}

/// Carries it out, or counts what it would change, and prints the report.
pub(super) async fn execute(
    bulk: BulkAction<'_>,
    dry_run: bool,
    config: &Config,
    format: Format,
) -> Exit {
    let database = config.database()?;
    let refused = |error| database_failure(&database, error);
    let mut session = connect(&database).await?;
    let (report, result) = if dry_run {
        (bulk.dry_run(&mut session).await.map_err(refused)?, Ok(()))
    } else {
        let stop = signals::stop_on_signal()?;
        bulk.execute(&mut session, &stop).await
    };
    // What was changed before an error is changed all the same.
    if result.is_ok() || report.count > 0 {
        output::emit(&report, format)?;
    }
    result.map_err(refused)?;
    if report.count == 0 && format == Format::Text {
        let hint = match bulk.items {
            Items::FailedEvents => misspelt_types(bulk.filter),
            Items::DeadLetters => dead_letters::hint(&mut session, bulk.filter)
                .await
                .map_err(refused)?,
        };
        if !hint.is_empty() {
            output::text(&hint)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn misspelt_types(filter: &Filter) -> String {
    let names = filter.common.event_types.iter();
    let unknown = names.filter(|name| EventType::from_name(name).is_none());
    let notes: Vec<_> = unknown
        .map(|name| format!("Note: no handler knows the type {name:?}; is it misspelt?\n"))
        .collect();
    notes.concat()
}

impl fmt::Display for BulkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, many, next) = match self.items {
            Items::FailedEvents => ("failed event", "failed events", "run"),
            Items::DeadLetters => ("dead letter", "dead letters", "notify-fan-out deliver"),
        };
        if self.count == 0 {
            writeln!(f, "No {one} matches; nothing was changed.")?;
        } else {
            let items = counted(self.count, one, many);
            match (self.dry_run, self.action) {
                (true, Action::Retry) => {
                    writeln!(f, "Would requeue {items} (nothing was changed):")?;
                }
                (true, Action::Discard) => {
                    writeln!(f, "Would discard {items} (nothing was changed):")?;
                }
                (false, Action::Retry) => writeln!(f, "Requeued {items} for the next {next}:")?,
                (false, Action::Discard) => writeln!(f, "Discarded {items}:")?,
            }
            let width = self.count_by_name.keys().map(String::len).max();
            let width = width.unwrap_or(0);
            for (name, number) in &self.count_by_name {
                writeln!(f, "  {name:<width$}  {}", count(*number))?;
            }
            if self.action == Action::Retry {
                self.write_warnings(f)?;
            }
        }
        self.write_unchanged(f)?;
        if self.stopped_early {
            writeln!(
                f,
                "Stopped before all were changed: run it again to continue."
            )?;
        }
        Ok(())
    }
}

impl BulkReport {
    /// What a person should know of requeued dead letters.
    fn write_warnings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.uncertain_count > 0 {
            writeln!(
                f,
                "{} of these may have arrived already, and would then arrive twice.",
                count(self.uncertain_count)
            )?;
        }
        if self.to_disabled_count > 0 {
            writeln!(
                f,
                "{} of these: the endpoint is disabled or removed. Unless it is enabled first, the \
                 delivery is cancelled.",
                count(self.to_disabled_count)
            )?;
        }
        Ok(())
    }

    /// A line for each reason.
    fn write_unchanged(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
        for row in &self.unchanged {
            let reason = self.because(row.state);
            match by_reason.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, ids)) => ids.push(row.id.to_string()),
                None => by_reason.push((reason, vec![row.id.to_string()])),
            }
        }
        for (reason, mut ids) in by_reason {
            shorten(&mut ids, MOST_NAMED);
            writeln!(f, "Not touched: {} ({reason})", ids.join(", "))?;
        }
        Ok(())
    }

    fn because(&self, state: State) -> &'static str {
        match state {
            State::Pending if self.items == Items::DeadLetters => {
                "pending already: sent when it is due"
            }
            State::Pending => "pending already: the next run claims it once it is due",
            State::Processing => "being processed",
            State::Completed => "completed",
            State::CompletedAndPruned => "completed long ago; its processing row was pruned",
            State::FailedButFilteredOut => "failed, but the other filters exclude it",
            State::NotEnqueued => "has no processing row; notify-fan-out migrate enqueues it",
            State::NoSuchEvent => "no such event",
            State::Unknown => "in a state that is not known",
            State::Sending => "being sent",
            State::Delivered => "delivered",
            State::Cancelled => "cancelled or discarded",
            State::FilteredOut => "a dead letter, but the other filters exclude it",
            State::NoSuchDelivery => "no such delivery",
        }
    }
}

/// Leaves the first `most` names, and how many more there are.
pub(super) fn shorten(names: &mut Vec<String>, most: usize) {
    let more = names.len().saturating_sub(most);
    names.truncate(most);
    if more > 0 {
        names.push(format!("and {} more", count(more as u64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::bulk::Unchanged;

    fn report(items: Items, action: Action) -> BulkReport {
        let states = match items {
            Items::FailedEvents => [State::Completed, State::NoSuchEvent],
            Items::DeadLetters => [State::Pending, State::NoSuchDelivery],
        };
        let named = [(17, states[0]), (18, states[1]), (19, states[0])];
        BulkReport {
            items,
            action,
            dry_run: false,
            count: 1_201,
            count_by_name: [("one".to_owned(), 1), ("several".to_owned(), 1_200)].into(),
            uncertain_count: 1,
            to_disabled_count: 3,
            emails_count: 0,
            unchanged: named.map(|(id, state)| Unchanged { id, state }).into(),
            stopped_early: items == Items::DeadLetters,
        }
    }

    #[test]
    fn says_what_was_changed_and_what_was_not() {
        let events = BulkReport {
            uncertain_count: 0,
            to_disabled_count: 0,
            ..report(Items::FailedEvents, Action::Retry)
        };
        insta::assert_snapshot!(events, @"
        Requeued 1,201 failed events for the next run:
          one      1
          several  1,200
        Not touched: 17, 19 (completed)
        Not touched: 18 (no such event)
        ");
        insta::assert_snapshot!(report(Items::DeadLetters, Action::Retry), @"
        Requeued 1,201 dead letters for the next notify-fan-out deliver:
          one      1
          several  1,200
        1 of these may have arrived already, and would then arrive twice.
        3 of these: the endpoint is disabled or removed. Unless it is enabled first, the delivery is cancelled.
        Not touched: 17, 19 (pending already: sent when it is due)
        Not touched: 18 (no such delivery)
        Stopped before all were changed: run it again to continue.
        ");
        let would = BulkReport {
            dry_run: true,
            unchanged: Vec::new(),
            ..report(Items::DeadLetters, Action::Discard)
        };
        insta::assert_snapshot!(would, @"
        Would discard 1,201 dead letters (nothing was changed):
          one      1
          several  1,200
        Stopped before all were changed: run it again to continue.
        ");
    }

    #[test]
    fn many_are_not_named_one_by_one() {
        let row = |id| Unchanged {
            id,
            state: State::Pending,
        };
        let report = BulkReport {
            count: 0,
            unchanged: (1..=22).map(row).collect(),
            ..report(Items::FailedEvents, Action::Retry)
        };
        insta::assert_snapshot!(report, @"
        No failed event matches; nothing was changed.
        Not touched: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, and 2 more (pending already: the next run claims it once it is due)
        ");
    }

    #[test]
    fn a_type_that_nothing_handles_may_be_misspelt() {
        let mut filter = Filter::default();
        filter.common.event_types = vec!["document_upload".to_owned(), "payment.failed".to_owned()];
        insta::assert_snapshot!(misspelt_types(&filter), @r#"Note: no handler knows the type "document_upload"; is it misspelt?"#);
    }
}
