//! `explain`: who hears of an event, who does not, and why.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use super::output::Style;
use super::run::run_failure;
use super::{ExitStatus, Failure, database_failure, history, output};
use crate::config::{Config, Format};
use crate::fan_out::{Candidate, ChannelDecision, Explanation, Hearer, explain};
use crate::ops::trace::{Fate, trace};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out explain 4711
  notify-fan-out explain 4711 --user 8c5f2a44-0c6e-4a5b-9d43-0d6c1f1f7a10
  notify-fan-out explain 4711 --format json | jq '.candidates[] | {user_id, in_app}'

It reads only. What a settled event did is told by the rows that are there; what another would
do, and who is passed over, by the rules, preferences and memberships as they are now. What
left the building, or was to, is told delivery by delivery.")]
pub(super) struct Arguments {
    /// The event, by its number
    event_id: i64,
    /// Only this person
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
}

pub(super) async fn execute(
    arguments: Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let Arguments { event_id, user } = arguments;
    let settings = config.fan_out(None, String::new())?;
    let database = config.database()?;
    let explanation = explain(&database, event_id, user, &settings)
        .await
        .map_err(|failed| run_failure(&database, failed))?
        .ok_or_else(|| {
            Failure::Refused(format!("there is no event {event_id} in domain_events"))
        })?;
    let became = trace(&database, event_id, user)
        .await
        .map_err(|error| database_failure(&database, error))?;
    match format {
        Format::Json => output::json(&Document {
            explanation: &explanation,
            deliveries: &became,
        })?,
        Format::Text => {
            let style = Style::stdout();
            let explained = in_words(&explanation, user, style);
            output::text(&(explained + &history::in_words(&became, style)))?;
        }
    }
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    deliveries: &'a [Fate],
}

fn in_words(explanation: &Explanation, user: Option<Uuid>, style: Style) -> String {
    let mut words = head(explanation, style);
    if let Some(problem) = &explanation.problem {
        let _ = writeln!(words, "  {:<9} {}", "nobody", style.warn(problem));
        return words;
    }
    for (no, audience) in explanation.audiences.iter().enumerate() {
        let label = if no == 0 { "audience" } else { "" };
        let _ = writeln!(words, "  {label:<9} {audience}");
    }
    words.push('\n');
    if explanation.candidates.is_empty() && !explanation.endpoints.is_empty() {
        words.push_str(what(explanation));
        endpoints(&mut words, &explanation.endpoints, style);
        return words;
    }
    if explanation.candidates.is_empty() {
        match user {
            Some(user) => {
                let _ = writeln!(words, "{user} is not in the audience of this event.");
            }
            None => words.push_str("Nobody is in the audience of this event.\n"),
        }
        return words;
    }
    words.push_str(what(explanation));
    candidates(&mut words, &explanation.candidates, style);
    if explanation.truncated {
        let _ = writeln!(
            words,
            "… and more: these are the first {}; ask for one with --user",
            explanation.candidates.len()
        );
    }
    endpoints(&mut words, &explanation.endpoints, style);
    words
}

fn what(explanation: &Explanation) -> &'static str {
    if explanation.is_completed() {
        "What it did:\n"
    } else {
        "What it would do now:\n"
    }
}

/// A line each: channel, name, outcome and what decided.
fn endpoints(words: &mut String, hearers: &[Hearer], style: Style) {
    if hearers.is_empty() {
        return;
    }
    let lines: Vec<_> = hearers
        .iter()
        .map(|hearer| {
            let name = hearer.name.as_deref().unwrap_or(&hearer.recipient);
            (hearer, name, outcome("endpoint", &hearer.decision))
        })
        .collect();
    let width =
        |of: &dyn Fn(&(&Hearer, &str, String)) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let channels = width(&|(hearer, ..)| hearer.channel.len());
    let names = width(&|(_, name, _)| name.chars().count());
    let outcomes = width(&|(_, _, outcome)| outcome.chars().count());
    let _ = writeln!(words, "  {}", style.bold("Endpoints"));
    for (hearer, name, outcome) in &lines {
        let _ = writeln!(
            words,
            "    {:<channels$}  {name:<names$}  {outcome:<outcomes$}  {}",
            hearer.channel,
            style.dim(&hearer.decision.decided_by)
        );
    }
}

fn head(explanation: &Explanation, style: Style) -> String {
    let title = format!("event {}  {}", explanation.event_id, explanation.event_type);
    let mut words = style.bold(&title);
    words.push('\n');
    let _ = writeln!(
        words,
        "  {:<9} {}",
        "occurred",
        time(explanation.occurred_at)
    );
    let status = match explanation.status.as_deref() {
        None => style.bad("no row in notification_processing; see notify-fan-out doctor"),
        Some("completed") => format!(
            "{} {}",
            style.good("completed"),
            time(explanation.completed_at)
        ),
        Some("pruned") => {
            let how = "it was completed, and its processing row deleted";
            format!("{}: {how}", style.good("pruned"))
        }
        Some("failed") => format!("{} {}", style.bad("failed"), time(explanation.completed_at)),
        Some("pending") => format!("pending, due {}", time(explanation.next_attempt_at)),
        Some(other) => other.to_owned(),
    };
    let _ = writeln!(words, "  {:<9} {status}", "status");
    if explanation.retry_count > 0 {
        let _ = writeln!(words, "  {:<9} {}", "retries", explanation.retry_count);
    }
    if let Some(processor) = &explanation.processor_id {
        let _ = writeln!(words, "  {:<9} {processor}", "worker");
    }
    if let Some(error) = &explanation.error {
        let _ = writeln!(words, "  {:<9} {}", "error", style.bad(error));
    }
    words
}

fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or_else(
        || "at an unknown time".to_owned(),
        |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// A title for each plan, its people below it, and for each what the channels do.
fn candidates(words: &mut String, candidates: &[Candidate], style: Style) {
    let lines: Vec<_> = candidates.iter().map(channels).collect();
    let width = lines
        .iter()
        .flatten()
        .map(|line| line.outcome.chars().count())
        .max()
        .unwrap_or(0);
    let mut title = &None;
    for (candidate, lines) in candidates.iter().zip(&lines) {
        if candidate.title != *title {
            title = &candidate.title;
            if let Some(title) = title {
                let _ = writeln!(words, "  {}", style.bold(title));
            }
        }
        let name = candidate.name.as_deref().unwrap_or_default();
        let _ = writeln!(words, "    {}  {name}", candidate.user_id);
        for Line {
            channel,
            outcome,
            decided_by,
        } in lines
        {
            let _ = writeln!(
                words,
                "      {channel:<5}{outcome:<width$}  {}",
                style.dim(decided_by)
            );
        }
    }
}

struct Line<'a> {
    channel: &'static str,
    outcome: String,
    decided_by: &'a str,
}

/// A line a channel; one for both where they say the same.
fn channels(candidate: &Candidate) -> Vec<Line<'_>> {
    let line = |channel, decision| Line {
        channel,
        outcome: outcome(channel, decision),
        decided_by: &decision.decided_by,
    };
    let Candidate { in_app, email, .. } = candidate;
    if in_app.outcome == email.outcome && in_app.decided_by == email.decided_by {
        return vec![line("both", in_app)];
    }
    vec![line("app", in_app), line("mail", email)]
}

fn outcome(channel: &str, decision: &ChannelDecision) -> String {
    match (&decision.row_id, channel) {
        (Some(id), "mail") => format!("{} (pending_emails {id})", decision.outcome),
        (Some(id), "endpoint") => format!("{} (notification_deliveries {id})", decision.outcome),
        (Some(id), _) => format!("{} (notifications {id})", decision.outcome),
        (None, _) => decision.outcome.clone(),
    }
}
