//! `explain`: who receives an event, who does not, and why.

use std::fmt;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::human::{aligned, utc};
use super::output::Style;
use super::run::run_failure;
use super::{Exit, Failure, database_failure, history, output};
use crate::config::{Config, Format};
use crate::fan_out::{Candidate, ChannelDecision, Explanation, RoutedEndpoint, explain};
use crate::ops::delivery_history::{HistoryEntry, delivery_history};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out explain 4711
  notify-fan-out explain 4711 --user 8c5f2a44-0c6e-4a5b-9d43-0d6c1f1f7a10
  notify-fan-out explain 4711 --format json | jq '.candidates[] | {user_id, in_app}'

It only reads. For a completed event it shows the rows that exist. For any other event, and for
skipped recipients, it applies the current rules, preferences and memberships. The deliveries
of the event follow, one by one.")]
pub(super) struct Arguments {
    /// The event, by its number
    event_id: i64,
    /// Only this person
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
}

pub(super) async fn execute(arguments: Arguments, config: &Config, format: Format) -> Exit {
    let Arguments { event_id, user } = arguments;
    let settings = config.fan_out(None, String::new())?;
    let database = config.database()?;
    let explanation = explain(&database, event_id, user, &settings)
        .await
        .map_err(|failed| run_failure(&database, failed))?
        .ok_or_else(|| {
            Failure::Refused(format!("there is no event {event_id} in domain_events"))
        })?;
    let deliveries = delivery_history(&database, event_id, user)
        .await
        .map_err(|error| database_failure(&database, error))?;
    let document = Document {
        explanation,
        deliveries,
        user,
    };
    output::done(&document, format)
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    explanation: Explanation,
    deliveries: Vec<HistoryEntry>,
    /// The only recipient that was asked for.
    #[serde(skip)]
    user: Option<Uuid>,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = Style::of(f);
        let explanation = &self.explanation;
        head(f, explanation, style)?;
        match &explanation.problem {
            Some(problem) => line(f, "nobody", &style.warn(problem))?,
            None => self.outcomes(f, style)?,
        }
        history::write(f, &self.deliveries, style)
    }
}

impl Document {
    fn outcomes(&self, f: &mut fmt::Formatter<'_>, style: Style) -> fmt::Result {
        let explanation = &self.explanation;
        for (no, audience) in explanation.audiences.iter().enumerate() {
            line(f, if no == 0 { "audience" } else { "" }, audience)?;
        }
        writeln!(f)?;
        if explanation.candidates.is_empty() && explanation.endpoints.is_empty() {
            return match self.user {
                Some(user) => writeln!(f, "{user} is not in the audience of this event."),
                None => writeln!(f, "Nobody is in the audience of this event."),
            };
        }
        f.write_str(if explanation.is_completed() {
            "What it did:\n"
        } else {
            "What it would do now:\n"
        })?;
        candidates(f, &explanation.candidates, style)?;
        if explanation.truncated {
            let shown = explanation.candidates.len();
            writeln!(
                f,
                "… and more: these are the first {shown}; ask for one with --user"
            )?;
        }
        endpoints(f, &explanation.endpoints, style)
    }
}

fn line(f: &mut fmt::Formatter<'_>, label: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {label:<9} {value}")
}

fn head(f: &mut fmt::Formatter<'_>, explanation: &Explanation, style: Style) -> fmt::Result {
    let title = format!("event {}  {}", explanation.event_id, explanation.event_type);
    writeln!(f, "{}", style.bold(&title))?;
    line(f, "occurred", &time(explanation.occurred_at))?;
    let ended = time(explanation.completed_at);
    let status = match explanation.status.as_deref() {
        None => style.bad("no row in notification_processing; see notify-fan-out doctor"),
        Some("completed") => format!("{} {ended}", style.good("completed")),
        Some("pruned") => format!(
            "{}: it was completed, and its processing row deleted",
            style.good("pruned")
        ),
        Some("failed") => format!("{} {ended}", style.bad("failed")),
        Some("pending") => format!("pending, due {}", time(explanation.next_attempt_at)),
        Some(other) => other.to_owned(),
    };
    line(f, "status", &status)?;
    if explanation.retry_count > 0 {
        line(f, "retries", &explanation.retry_count.to_string())?;
    }
    if let Some(processor) = &explanation.processor_id {
        line(f, "worker", processor)?;
    }
    if let Some(error) = &explanation.error {
        line(f, "error", &style.bad(error))?;
    }
    Ok(())
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(|| "at an unknown time".to_owned(), utc)
}

/// A title for each plan, its recipients below it, and for each what the channels do: one line where
/// both do the same.
fn candidates(f: &mut fmt::Formatter<'_>, candidates: &[Candidate], style: Style) -> fmt::Result {
    let mut decisions = Vec::new();
    for Candidate { in_app, email, .. } in candidates {
        if in_app.outcome == email.outcome && in_app.decided_by == email.decided_by {
            decisions.push(vec![("both", in_app)]);
        } else {
            decisions.push(vec![("app", in_app), ("e-mail", email)]);
        }
    }
    let rows = decisions.iter().flatten();
    let rows = rows.map(|(channel, decision)| {
        let outcome = outcome(channel, decision);
        [format!("{channel:<7}{outcome}")]
    });
    let mut lines = aligned(&rows.collect::<Vec<_>>(), 1).into_iter();
    let mut title = &None;
    for (candidate, decisions) in candidates.iter().zip(&decisions) {
        if candidate.title != *title {
            title = &candidate.title;
            if let Some(title) = title {
                writeln!(f, "  {}", style.bold(title))?;
            }
        }
        let name = candidate.name.as_deref().unwrap_or_default();
        writeln!(f, "    {}  {name}", candidate.user_id)?;
        for ((_, decision), line) in decisions.iter().zip(&mut lines) {
            writeln!(f, "      {line}  {}", style.dim(&decision.decided_by))?;
        }
    }
    Ok(())
}

/// A line each: channel, name, outcome and what decided.
fn endpoints(
    f: &mut fmt::Formatter<'_>,
    endpoints: &[RoutedEndpoint],
    style: Style,
) -> fmt::Result {
    if endpoints.is_empty() {
        return Ok(());
    }
    let rows = endpoints.iter().map(|endpoint| {
        let name = endpoint.name.as_deref().unwrap_or(&endpoint.recipient);
        let outcome = outcome("endpoint", &endpoint.decision);
        [endpoint.channel.clone(), name.to_owned(), outcome]
    });
    let lines = aligned(&rows.collect::<Vec<_>>(), 3);
    writeln!(f, "  {}", style.bold("Endpoints"))?;
    for (endpoint, line) in endpoints.iter().zip(lines) {
        let decided_by = style.dim(&endpoint.decision.decided_by);
        writeln!(f, "    {line}  {decided_by}")?;
    }
    Ok(())
}

fn outcome(channel: &str, decision: &ChannelDecision) -> String {
    match (&decision.row_id, channel) {
        (Some(id), "e-mail") => format!("{} (pending_emails {id})", decision.outcome),
        (Some(id), "endpoint") => format!("{} (notification_deliveries {id})", decision.outcome),
        (Some(id), _) => format!("{} (notifications {id})", decision.outcome),
        (None, _) => decision.outcome.clone(),
    }
}
