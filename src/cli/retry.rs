//! `retry` and `discard`: what becomes of failed events.

use std::fmt;

use clap::Args;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::human::{count, counted};
use super::{ExitStatus, Failure, bulk, connect, database_failure, output, signals};
use crate::config::{Config, Format};
use crate::handlers::EventType;
use crate::ops::dead_letters::Action;
use crate::ops::excerpt;
use crate::ops::retry::{EventFilter, EventState, RetryReport, apply, count_matching};

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
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
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
    filters: Filters,
}

#[derive(Debug, Args)]
struct Filters {
    /// These events
    #[arg(value_name = "EVENT_ID")]
    event_ids: Vec<i64>,
    /// Events of this type; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    event_types: Vec<String>,
    /// Events whose error has this text in it, letter by letter; … stands for anything
    #[arg(long, value_name = "TEXT", value_parser = part_of_an_error)]
    error: Option<String>,
    /// All failed events that no other filter excludes
    #[arg(long)]
    all: bool,
    /// Count what would be changed, in a transaction that cannot write
    #[arg(long)]
    dry_run: bool,
}

fn part_of_an_error(text: &str) -> Result<String, String> {
    if !excerpt::says_something(text) {
        return Err("must have a letter or digit in it; --all takes every failed event".to_owned());
    }
    Ok(text.to_owned())
}

impl Filters {
    fn filter(self) -> Result<EventFilter, Failure> {
        let filter = EventFilter {
            event_ids: (!self.event_ids.is_empty()).then_some(self.event_ids),
            event_types: (!self.event_types.is_empty()).then_some(self.event_types),
            error: self.error,
        };
        if filter == EventFilter::default() && !self.all {
            return Err(Failure::Usage(
                "which failed events? Name their ids, --type, --error TEXT, or --all for every one; \
                 notify-fan-out status shows what failed, --help has examples"
                    .to_owned(),
            ));
        }
        Ok(filter)
    }
}

pub(super) async fn retry(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    execute(Action::Retry, arguments.filters, config, format).await
}

pub(super) async fn discard(
    arguments: DiscardArguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    execute(Action::Discard, arguments.filters, config, format).await
}

async fn execute(
    action: Action,
    filters: Filters,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let dry_run = filters.dry_run;
    let filter = filters.filter()?;
    let database = config.database()?;
    let refused = |error| database_failure(&database, error);
    let mut session = connect(&database).await?;
    let (report, result) = if dry_run {
        (
            count_matching(&mut session, action, &filter)
                .await
                .map_err(refused)?,
            Ok(()),
        )
    } else {
        let stop = signals::stop_on_signal()?;
        apply(&mut session, action, &filter, &stop).await
    };
    // What was changed before an error is changed all the same.
    if result.is_ok() || report.retried_count > 0 {
        let done = Done {
            action,
            dry_run,
            report,
            event_types: filter.event_types.unwrap_or_default(),
        };
        output::emit(&done, format)?;
    }
    result.map_err(refused)?;
    Ok(ExitStatus::Success)
}

struct Done {
    action: Action,
    dry_run: bool,
    report: RetryReport,
    /// Those that were asked for.
    event_types: Vec<String>,
}

impl Serialize for Done {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (verb, report) = (self.verbs().1, &self.report);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("dry_run", &self.dry_run)?;
        map.serialize_entry(&format!("{verb}_count"), &report.retried_count)?;
        map.serialize_entry(
            &format!("{verb}_count_by_type"),
            &report.retried_count_by_type,
        )?;
        map.serialize_entry(&format!("not_{verb}"), &report.not_retried)?;
        map.serialize_entry("stopped_early", &report.stopped_early)?;
        map.end()
    }
}

impl Done {
    /// Its verb, as text and as keys of JSON have its participle.
    const fn verbs(&self) -> (&'static str, &'static str) {
        match self.action {
            Action::Retry => ("requeue", "retried"),
            Action::Discard => ("discard", "discarded"),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requeue, report) = (self.verbs().0, &self.report);
        let requeued = format!(
            "{requeue}{}",
            if self.action == Action::Retry {
                "d"
            } else {
                "ed"
            }
        );
        if report.retried_count == 0 {
            writeln!(f, "No failed event matches; nothing was {requeued}.")?;
            for name in &self.event_types {
                if EventType::from_name(name).is_none() {
                    writeln!(
                        f,
                        "Note: no handler knows the type {name:?}; is it misspelt?"
                    )?;
                }
            }
        } else {
            let events = counted(report.retried_count, "failed event", "failed events");
            match (self.dry_run, self.action) {
                (true, _) => writeln!(f, "Would {requeue} {events} (nothing was changed):")?,
                (false, Action::Retry) => writeln!(f, "Requeued {events} for the next run:")?,
                (false, Action::Discard) => writeln!(f, "Discarded {events}:")?,
            }
            let by_type = &report.retried_count_by_type;
            let width = by_type.keys().map(String::len).max().unwrap_or(0);
            for (event_type, number) in by_type {
                writeln!(f, "  {event_type:<width$}  {}", count(*number))?;
            }
        }
        let left = report.not_retried.iter();
        let left = left.map(|event| (event.event_id, because(event.state)));
        bulk::left_out(f, &format!("Not {requeued}"), left)?;
        if report.stopped_early {
            writeln!(
                f,
                "Stopped before all were {requeued}: run it again to continue."
            )?;
        }
        Ok(())
    }
}

fn because(state: EventState) -> &'static str {
    match state {
        EventState::Pending => "pending already: the next run claims it once it is due",
        EventState::Processing => "being processed",
        EventState::Completed => "completed",
        EventState::CompletedAndPruned => "completed long ago; its processing row was pruned",
        EventState::FailedButFilteredOut => "failed, but the other filters exclude it",
        EventState::NotEnqueued => "has no processing row; notify-fan-out migrate enqueues it",
        EventState::NoSuchEvent => "no such event",
        EventState::Unknown => "in a state that is not known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::retry::NotRetried;

    fn done(action: Action, dry_run: bool, report: &RetryReport) -> Done {
        Done {
            action,
            dry_run,
            report: report.clone(),
            event_types: Vec::new(),
        }
    }

    #[test]
    fn says_how_many_and_which_were_not() {
        let report = RetryReport {
            retried_count: 1_201,
            retried_count_by_type: [
                ("chat_message_sent".to_owned(), 1),
                ("document_uploaded".to_owned(), 1_200),
            ]
            .into(),
            not_retried: [
                (17, EventState::Completed),
                (18, EventState::NoSuchEvent),
                (19, EventState::Completed),
            ]
            .map(|(event_id, state)| NotRetried { event_id, state })
            .into(),
            stopped_early: false,
        };
        insta::assert_snapshot!(done(Action::Discard, false, &report), @"
        Discarded 1,201 failed events:
          chat_message_sent  1
          document_uploaded  1,200
        Not discarded: 17, 19 (completed)
        Not discarded: 18 (no such event)
        ");
        insta::assert_snapshot!(done(Action::Retry, false, &report), @"
        Requeued 1,201 failed events for the next run:
          chat_message_sent  1
          document_uploaded  1,200
        Not requeued: 17, 19 (completed)
        Not requeued: 18 (no such event)
        ");
    }

    #[test]
    fn a_dry_run_says_that_nothing_was_changed() {
        let report = RetryReport {
            retried_count: 1,
            retried_count_by_type: [("chat_message_sent".to_owned(), 1)].into(),
            ..RetryReport::default()
        };
        insta::assert_snapshot!(done(Action::Retry, true, &report), @"
        Would requeue 1 failed event (nothing was changed):
          chat_message_sent  1
        ");
    }

    #[test]
    fn nothing_found_may_be_a_misspelt_type() {
        let done = Done {
            event_types: vec!["document_upload".to_owned()],
            ..done(Action::Retry, false, &RetryReport::default())
        };
        insta::assert_snapshot!(done, @r#"
        No failed event matches; nothing was requeued.
        Note: no handler knows the type "document_upload"; is it misspelt?
        "#);
    }

    #[test]
    fn many_are_not_named_one_by_one() {
        let report = RetryReport {
            not_retried: (1..=22)
                .map(|event_id| NotRetried {
                    event_id,
                    state: EventState::Pending,
                })
                .collect(),
            ..RetryReport::default()
        };
        insta::assert_snapshot!(done(Action::Retry, false, &report), @"
        No failed event matches; nothing was requeued.
        Not requeued: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, and 2 more (pending already: the next run claims it once it is due)
        ");
    }
}
