//! What a run would do, event by event.

use std::io::{self, Write};

use serde_json::json;

use super::super::human::counted;
use super::super::output::Style;
use super::{ExitStatus, Failure, Settings, left, output, run_failure};
use crate::config::Format;
use crate::db::Database;
use crate::fan_out::{
    Audit, EmailOutcome, EndpointOutcome, FanOutReport, InAppOutcome, PreviewedEndpoint,
    PreviewedEvent, PreviewedRecipient, Verdict, preview,
};

/// Recipients shown of each event, as text; JSON has them all.
const MOST_SHOWN: usize = 20;

pub(super) async fn execute(
    database: &Database,
    settings: &Settings,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (report, written) = match format {
        Format::Json => {
            let mut lines = JsonLines {
                out: &mut out,
                result: Ok(()),
            };
            let report = preview(database, settings, &mut lines).await;
            (report, lines.result)
        }
        Format::Text => {
            let mut listing = Listing {
                out: &mut out,
                result: Ok(()),
                style: Style::stdout(),
                shown: 0,
            };
            let report = preview(database, settings, &mut listing).await;
            listing.end_event();
            (report, listing.result)
        }
    };
    written?;
    out.flush()?;
    drop(out);
    let report = report.map_err(|failed| run_failure(database, failed))?;
    match format {
        Format::Json => output::json(&json!({ "kind": "summary", "would": report }))?,
        Format::Text => output::text(&summary(&report))?,
    }
    Ok(ExitStatus::Success)
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
struct JsonLines<'a, W> {
    out: &'a mut W,
    result: io::Result<()>,
}

impl<W: Write> JsonLines<'_, W> {
    fn line(&mut self, value: &serde_json::Value) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{value}");
        }
    }
}

impl<W: Write> Audit for JsonLines<'_, W> {
    fn event(&mut self, event: &PreviewedEvent) {
        let (verdict, error) = match &event.verdict {
            Verdict::Complete => ("complete", None),
            Verdict::Fail(error) => ("fail", Some(error)),
            Verdict::Wait => ("wait_for_handler", None),
            Verdict::Ignore => ("ignore", None),
        };
        self.line(&json!({
            "kind": "event",
            "event_id": event.event_id,
            "event_type": event.event_type,
            "verdict": verdict,
            "error": error,
        }));
    }

    fn recipient(&mut self, recipient: &PreviewedRecipient<'_>) {
        let message = match recipient.in_app {
            InAppOutcome::Delivered | InAppOutcome::Merged => recipient.message(),
            _ => None,
        };
        let email = match recipient.email {
            EmailOutcome::Immediate | EmailOutcome::Aggregated => recipient.plan.email.as_ref(),
            _ => None,
        };
        self.line(&json!({
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

    fn endpoint(&mut self, endpoint: &PreviewedEndpoint<'_>) {
        let is_told = endpoint.outcome == EndpointOutcome::Queued;
        self.line(&json!({
            "kind": "endpoint",
            "event_id": endpoint.event_id,
            "event_type": endpoint.event_type.name(),
            "channel": endpoint.channel,
            "recipient": endpoint.recipient,
            "name": endpoint.name,
            "outcome": endpoint.outcome,
            "message": is_told.then_some(endpoint.message),
        }));
    }
}

/// Aligned text: an event, its recipients below it.
struct Listing<'a, W> {
    out: &'a mut W,
    result: io::Result<()>,
    style: Style,
    shown: usize,
}

impl<W: Write> Listing<'_, W> {
    fn line(&mut self, line: &str) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{line}");
        }
    }

    fn end_event(&mut self) {
        if self.shown > MOST_SHOWN {
            let more = self.shown - MOST_SHOWN;
            self.line(
                &self
                    .style
                    .dim(&format!("    … and {more} more; --format json lists all")),
            );
        }
        self.shown = 0;
    }
}

impl<W: Write> Audit for Listing<'_, W> {
    fn event(&mut self, event: &PreviewedEvent) {
        self.end_event();
        let head = format!("event {:<8} {}", event.event_id, event.event_type);
        let style = self.style;
        let line = match &event.verdict {
            Verdict::Complete => style.bold(&head),
            Verdict::Fail(error) => format!(
                "{}  {}",
                style.bold(&head),
                style.bad(&format!("would fail: {error}"))
            ),
            Verdict::Wait => format!(
                "{}  {}",
                style.bold(&head),
                style.warn("no handler: would wait")
            ),
            Verdict::Ignore => format!(
                "{}  {}",
                style.bold(&head),
                style.dim("ignored by NOTIFY_FANOUT_IGNORE_TYPES")
            ),
        };
        self.line(&line);
    }

    fn recipient(&mut self, recipient: &PreviewedRecipient<'_>) {
        self.shown += 1;
        if self.shown > MOST_SHOWN {
            return;
        }
        let style = self.style;
        let words = format!(
            "    {}  app: {:<28}  mail: {:<28}",
            recipient.user_id,
            recipient.in_app.words(),
            recipient.email.words(),
        );
        let told = matches!(
            recipient.in_app,
            InAppOutcome::Delivered | InAppOutcome::Merged
        );
        let mailed = matches!(
            recipient.email,
            EmailOutcome::Immediate | EmailOutcome::Aggregated
        );
        let title = recipient.message().filter(|_| told);
        let subject = recipient.plan.email.as_ref().filter(|_| mailed);
        let line = match (title, subject) {
            (Some(message), _) => format!("{words}  {}", message.title),
            (None, Some(email)) => format!("{words}  {}", email.subject),
            (None, None) => style.dim(words.trim_end()),
        };
        self.line(&line);
    }

    fn endpoint(&mut self, endpoint: &PreviewedEndpoint<'_>) {
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
        self.line(&line);
    }
}
