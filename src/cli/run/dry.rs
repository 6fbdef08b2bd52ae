//! What a run would do, event by event.

use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::{Value, json};

use super::report::left;
use super::run_failure;
use crate::cli::Exit;
use crate::cli::human::counted;
use crate::cli::output::{self, Lines, Style};
use crate::config::Format;
use crate::db::Database;
use crate::fan_out::{
    Audit, DryEndpoint, DryEvent, DryRecipient, EndpointOutcome, EventOutcome, FanOutReport,
    FanOutSettings, dry_run,
};

/// Recipients shown of each event, as text; JSON has them all.
const MOST_SHOWN: usize = 20;

pub(super) async fn execute(
    database: &Database,
    settings: &FanOutSettings,
    format: Format,
) -> Exit {
    let mut listing = Listing {
        lines: Lines::new(),
        style: Style::stdout(),
        format,
        shown: 0,
    };
    let report = dry_run(database, settings, &mut listing).await;
    listing.end_event();
    listing.lines.end()?;
    let would = report.map_err(|failed| run_failure(database, failed))?;
    output::done(&Summary { would }, format)
}

#[derive(Serialize)]
#[serde(tag = "kind", rename = "summary")]
struct Summary {
    would: FanOutReport,
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.would;
        if report.enqueued > 0 {
            let events = counted(
                report.enqueued,
                "event that no trigger had",
                "events that no trigger had",
            );
            writeln!(
                f,
                "A run would first enqueue {events}, which this dry run leaves out."
            )?;
        }
        let left = left(report);
        if report.is_idle() && left.is_none() && report.unhandled_types.is_empty() {
            return f.write_str("Nothing is due. (Dry run: nothing was written.)");
        }
        if let Some(left) = left {
            writeln!(f, "{left}: this dry run ended before them.")?;
        }
        write!(
            f,
            "Dry run: nothing was written. A run would settle events={} notifications={} merged={} \
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
}

/// As JSON, an object a line: `{"kind":"event",…}`, then a `{"kind":"recipient",…}` for each person
/// and a `{"kind":"endpoint",…}` for each endpoint. As aligned text, an event with its recipients
/// below it.
struct Listing {
    lines: Lines,
    style: Style,
    format: Format,
    /// Of the event.
    shown: usize,
}

impl Listing {
    /// A line below an event, of which text shows a few.
    fn below(&mut self, json: impl FnOnce() -> Value, text: impl FnOnce(Style) -> String) {
        self.shown += 1;
        match self.format {
            Format::Json => self.lines.line(json()),
            Format::Text if self.shown <= MOST_SHOWN => self.lines.line(text(self.style)),
            Format::Text => {}
        }
    }

    fn end_event(&mut self) {
        let more = std::mem::take(&mut self.shown).saturating_sub(MOST_SHOWN);
        if self.format == Format::Text && more > 0 {
            let more = format!("    … and {more} more; --format json lists all");
            self.lines.line(self.style.dim(&more));
        }
    }
}

impl Audit for Listing {
    fn event(&mut self, event: &DryEvent<'_>) {
        self.end_event();
        let style = self.style;
        let (decision, error, note) = match &event.outcome {
            EventOutcome::Complete => ("complete", None, String::new()),
            EventOutcome::Fail(error) => {
                let note = style.bad(&format!("would fail: {error}"));
                ("fail", Some(error), note)
            }
            EventOutcome::Wait => (
                "wait_for_handler",
                None,
                style.warn("no handler: would wait"),
            ),
            EventOutcome::Ignore => (
                "ignore",
                None,
                style.dim("ignored by NOTIFY_FANOUT_IGNORE_TYPES"),
            ),
        };
        let (event_id, event_type) = (event.event_id, event.event_type);
        if self.format == Format::Json {
            return self.lines.line(json!({
                "kind": "event",
                "event_id": event_id,
                "event_type": event_type,
                "verdict": decision,
                "error": error,
            }));
        }
        let head = style.bold(&format!("event {event_id:<8} {event_type}"));
        let gap = if note.is_empty() { "" } else { "  " };
        self.lines.line(format!("{head}{gap}{note}"));
    }

    fn recipient(&mut self, recipient: &DryRecipient<'_>) {
        let email = recipient.mail();
        let json = || {
            let message = recipient.message();
            let message = message.as_ref();
            json!({
                "kind": "recipient",
                "event_id": recipient.event_id,
                "event_type": recipient.event_type.name(),
                "user_id": recipient.user_id,
                "in_app": recipient.in_app,
                "in_app_preference": recipient.in_app_preference,
                "title": message.map(|message| &message.title),
                "body": message.and_then(|message| message.body.as_ref()),
                "link_url": message.and_then(|message| message.link_url.as_ref()),
                "payload": message.map(|message| &message.payload),
                "count": recipient.count,
                "email": recipient.email,
                "email_preference": recipient.email_preference,
                "subject": email.map(|email| &email.subject),
                "body_data": email.map(|email| &email.body_data),
            })
        };
        self.below(json, |style| {
            let outcomes = format!(
                "    {}  app: {:<28}  e-mail: {:<28}",
                recipient.user_id,
                recipient.in_app.words(),
                recipient.email.words(),
            );
            match (recipient.message(), email) {
                (Some(message), _) => format!("{outcomes}  {}", message.title),
                (None, Some(email)) => format!("{outcomes}  {}", email.subject),
                (None, None) => style.dim(outcomes.trim_end()),
            }
        });
    }

    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>) {
        let is_queued = endpoint.outcome == EndpointOutcome::Queued;
        let json = || {
            json!({
                "kind": "endpoint",
                "event_id": endpoint.event_id,
                "event_type": endpoint.event_type.name(),
                "channel": endpoint.channel,
                "recipient": endpoint.recipient,
                "name": endpoint.name,
                "outcome": endpoint.outcome,
                "message": is_queued.then_some(endpoint.message),
            })
        };
        self.below(json, |style| {
            let recipient = endpoint.recipient.trim_start_matches("user:");
            let outcome = format!(
                "    {:<36}  {:<33}  {:<34}",
                endpoint.name.unwrap_or(recipient),
                endpoint.channel,
                endpoint.outcome.words(),
            );
            if is_queued {
                format!("{outcome}  {}", endpoint.message.title)
            } else {
                style.dim(outcome.trim_end())
            }
        });
    }
}
