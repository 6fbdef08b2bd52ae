//! What a run would do, event by event.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::json;

use super::report::left;
use super::run_failure;
use crate::cli::human::counted;
use crate::cli::output::{self, Lines, Style};
use crate::cli::{ExitStatus, Failure};
use crate::config::Format;
use crate::db::Database;
use crate::fan_out::{
    Audit, DryEndpoint, DryEvent, DryRecipient, EmailOutcome, EndpointOutcome, EventOutcome,
    FanOutReport, InAppOutcome, Settings, dry_run,
};

/// Recipients shown of each event, as text; JSON has them all.
const MOST_SHOWN: usize = 20;

pub(super) async fn execute(
    database: &Database,
    settings: &Settings,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let report = match format {
        Format::Json => {
            let mut lines = JsonLines(Lines::new());
            let report = dry_run(database, settings, &mut lines).await;
            lines.0.end()?;
            report
        }
        Format::Text => {
            let mut listing = Listing {
                lines: Lines::new(),
                style: Style::stdout(),
                shown: 0,
            };
            let report = dry_run(database, settings, &mut listing).await;
            listing.end_event();
            listing.lines.end()?;
            report
        }
    };
    let would = report.map_err(|failed| run_failure(database, failed))?;
    output::emit(
        &Summary {
            kind: "summary",
            would,
        },
        format,
    )?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Summary {
    kind: &'static str,
    would: FanOutReport,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&summary(&self.would))
    }
}

fn summary(report: &FanOutReport) -> String {
    let enqueued = match report.enqueued {
        0 => String::new(),
        events => format!(
            "A run would first enqueue {}, which this dry run leaves out.\n",
            counted(
                events,
                "event that no trigger had",
                "events that no trigger had"
            )
        ),
    };
    if report.is_idle()
        && report.left.is_none_or(|left| left == 0)
        && report.unhandled_types.is_empty()
    {
        return format!("{enqueued}Nothing is due. (Dry run: nothing was written.)");
    }
    let left = left(report).map_or_else(String::new, |left| {
        format!("{left}: this dry run ended before them.\n")
    });
    format!(
        "{enqueued}{left}Dry run: nothing was written. A run would settle events={} notifications={} merged={} \
         emails={} deliveries={} suppressed={} failed={} expired={} ignored={} expired_unhandled={}",
        report.events,
        report.notifications,
        report.merged,
        report.emails,
        report.deliveries,
        report.suppressed,
        report.failed,
        report.expired,
        report.ignored,
        report.expired_unhandled_count(),
    )
}

/// One JSON object a line: `{"kind":"event",…}`, then a `{"kind":"recipient",…}` for each person
/// and a `{"kind":"endpoint",…}` for each endpoint.
struct JsonLines(Lines);

impl Audit for JsonLines {
    fn event(&mut self, event: &DryEvent) {
        let (outcome, error) = match &event.outcome {
            EventOutcome::Complete => ("complete", None),
            EventOutcome::Fail(error) => ("fail", Some(error)),
            EventOutcome::Wait => ("wait_for_handler", None),
            EventOutcome::Ignore => ("ignore", None),
        };
        self.0.line(json!({
            "kind": "event",
            "event_id": event.event_id,
            "event_type": event.event_type,
            "verdict": outcome,
            "error": error,
        }));
    }

    fn recipient(&mut self, recipient: &DryRecipient<'_>) {
        let message = match recipient.in_app {
            InAppOutcome::Delivered | InAppOutcome::Merged => recipient.message(),
            _ => None,
        };
        let email = match recipient.email {
            EmailOutcome::Immediate | EmailOutcome::Aggregated => recipient.plan.email.as_ref(),
            _ => None,
        };
        self.0.line(json!({
            "kind": "recipient",
            "event_id": recipient.event_id,
            "event_type": recipient.event_type.name(),
            "user_id": recipient.user_id,
            "in_app": recipient.in_app,
            "in_app_preference": recipient.in_app_rule.map(crate::fan_out::Rule::status),
            "title": message.as_ref().map(|message| &message.title),
            "body": message.as_ref().and_then(|message| message.body.as_ref()),
            "link_url": message.as_ref().and_then(|message| message.link_url.as_ref()),
            "payload": message.as_ref().map(|message| &message.payload),
            "count": recipient.count,
            "email": recipient.email,
            "email_preference": recipient.email_rule.map(crate::fan_out::Rule::status),
            "subject": email.map(|email| &email.subject),
            "body_data": email.map(|email| &email.body_data),
        }));
    }

    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>) {
        let is_queued = endpoint.outcome == EndpointOutcome::Queued;
        self.0.line(json!({
            "kind": "endpoint",
            "event_id": endpoint.event_id,
            "event_type": endpoint.event_type.name(),
            "channel": endpoint.channel,
            "recipient": endpoint.recipient,
            "name": endpoint.name,
            "outcome": endpoint.outcome,
            "message": is_queued.then_some(endpoint.message),
        }));
    }
}

/// Aligned text: an event, its recipients below it.
struct Listing {
    lines: Lines,
    style: Style,
    shown: usize,
}

impl Listing {
    fn end_event(&mut self) {
        if self.shown > MOST_SHOWN {
            let more = self.shown - MOST_SHOWN;
            let more = format!("    … and {more} more; --format json lists all");
            self.lines.line(self.style.dim(&more));
        }
        self.shown = 0;
    }
}

impl Audit for Listing {
    fn event(&mut self, event: &DryEvent) {
        self.end_event();
        let head = format!("event {:<8} {}", event.event_id, event.event_type);
        let style = self.style;
        let line = match &event.outcome {
            EventOutcome::Complete => style.bold(&head),
            EventOutcome::Fail(error) => format!(
                "{}  {}",
                style.bold(&head),
                style.bad(&format!("would fail: {error}"))
            ),
            EventOutcome::Wait => format!(
                "{}  {}",
                style.bold(&head),
                style.warn("no handler: would wait")
            ),
            EventOutcome::Ignore => format!(
                "{}  {}",
                style.bold(&head),
                style.dim("ignored by NOTIFY_FANOUT_IGNORE_TYPES")
            ),
        };
        self.lines.line(&line);
    }

    fn recipient(&mut self, recipient: &DryRecipient<'_>) {
        self.shown += 1;
        if self.shown > MOST_SHOWN {
            return;
        }
        let style = self.style;
        let words = format!(
            "    {}  app: {:<28}  e-mail: {:<28}",
            recipient.user_id,
            recipient.in_app.words(),
            recipient.email.words(),
        );
        let is_shown = matches!(
            recipient.in_app,
            InAppOutcome::Delivered | InAppOutcome::Merged
        );
        let mailed = matches!(
            recipient.email,
            EmailOutcome::Immediate | EmailOutcome::Aggregated
        );
        let title = recipient.message().filter(|_| is_shown);
        let subject = recipient.plan.email.as_ref().filter(|_| mailed);
        let line = match (title, subject) {
            (Some(message), _) => format!("{words}  {}", message.title),
            (None, Some(email)) => format!("{words}  {}", email.subject),
            (None, None) => style.dim(words.trim_end()),
        };
        self.lines.line(&line);
    }

    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>) {
        self.shown += 1;
        if self.shown > MOST_SHOWN {
            return;
        }
        let words = format!(
            "    {:<36}  {:<33}  {:<34}",
            endpoint
                .name
                .unwrap_or(endpoint.recipient.trim_start_matches("user:")),
            endpoint.channel,
            endpoint.outcome.words(),
        );
        let line = match endpoint.outcome {
            EndpointOutcome::Queued => format!("{words}  {}", endpoint.message.title),
            _ => self.style.dim(words.trim_end()),
        };
        self.lines.line(&line);
    }
}
