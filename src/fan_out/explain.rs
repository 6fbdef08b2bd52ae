//! Why each candidate of an event is notified or skipped.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Settings;
use super::decode::decode;
use super::names::look_up;
use super::outcome::{EmailOutcome, EndpointOutcome, InAppOutcome, Reason, Rule};
use super::resolve::{Part, PlanRow, bind_plans, with_resolve};
use super::routed::{Announced, bind_announcements, with_routed};
use super::run::RunFailed;
use crate::db::{Access, Database, Transaction, Unnamed};
use crate::domain::event::EventRow;
use crate::domain::payload::PAYLOAD_MAX;
use crate::domain::plan::{Audience, InApp, Plan};
use crate::handlers::{EventType, Lookups};

const EXPLAIN: &str = with_resolve!("explain.sql");
const EXPLAIN_ROUTED: &str = with_routed!("explain_routed.sql");
/// A completed event has no row that the current rules would write.
const ABSENT: &str = "no row: pruned, or skipped by the rules at that time";
/// Candidates shown at most; more are for `user`.
const MOST: i64 = 1_000;

/// Where an event stands, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The event.
    pub event_id: i64,
    /// Its type.
    pub event_type: String,
    /// When it occurred.
    pub occurred_at: Option<DateTime<Utc>>,
    /// `pending`, `processing`, `completed`, `failed`; `pruned` of one that was completed and whose
    /// processing row was deleted; none where the trigger is missing.
    pub status: Option<String>,
    /// Attempts after the first.
    pub retry_count: i32,
    /// When it is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// Who claimed it last.
    pub processor_id: Option<String>,
    /// Why its last attempt failed.
    pub error: Option<String>,
    /// Why it can't be planned, where it can't.
    pub problem: Option<String>,
    /// The audience of each plan, as text.
    pub audiences: Vec<String>,
    /// Each candidate, per plan.
    pub candidates: Vec<Candidate>,
    /// Whether there are more candidates than are listed.
    pub truncated: bool,
    /// Each endpoint and phone number that it is routed to.
    pub endpoints: Vec<RoutedEndpoint>,
}

/// One person that a plan's audience holds.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// The person.
    pub user_id: Uuid,
    /// The name, if any.
    pub name: Option<String>,
    /// The title of the message before any count, or else the subject.
    pub title: Option<String>,
    /// The in-app notification.
    pub in_app: ChannelDecision,
    /// The e-mail.
    pub email: ChannelDecision,
}

/// What happened or would happen on one channel, and what decided it.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelDecision {
    /// What happened, as text.
    pub outcome: String,
    /// The row that is there: its identifier.
    pub row_id: Option<String>,
    /// The rule or preference row that decided.
    pub decided_by: String,
}

/// An endpoint or a phone number that an event is routed to.
#[derive(Debug, Clone, Serialize)]
pub struct RoutedEndpoint {
    /// By which channel.
    pub channel: String,
    /// The recipient, as `notification_deliveries` has it.
    pub recipient: String,
    /// The endpoint's name; none of a phone.
    pub name: Option<String>,
    /// What happened or would happen; the row is one of `notification_deliveries`.
    pub decision: ChannelDecision,
}

impl Explanation {
    /// Whether the event completed.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        matches!(self.status.as_deref(), Some("completed" | "pruned"))
    }
}

#[derive(sqlx::FromRow)]
struct RoutedRow {
    channel: String,
    recipient: String,
    user_id: Option<Uuid>,
    name: Option<String>,
    outcome: String,
    delivery_id: Option<String>,
    status: Option<String>,
    is_duplicate: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    plan_no: i32,
    user_id: Uuid,
    in_app: String,
    email: String,
    is_own_once: bool,
    in_app_rule: Option<i32>,
    email_rule: Option<i32>,
    full_name: Option<String>,
    notification_id: Option<String>,
    is_read: Option<bool>,
    notification_count: Option<i32>,
    email_id: Option<String>,
    email_status: Option<String>,
    email_delivery: Option<String>,
    unread_id: Option<String>,
    unread_count: Option<i32>,
}

/// Explains an event, for one person if `user` is given. `None`: there is no such event.
pub async fn explain(
    database: &Database,
    event_id: i64,
    user: Option<Uuid>,
    settings: &Settings,
) -> Result<Option<Explanation>, RunFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let Some(row) = sqlx::query_file!("src/fan_out/explain_event.sql", event_id, PAYLOAD_MAX)
        .fetch_optional(Unnamed(&mut transaction))
        .await?
    else {
        return Ok(None);
    };
    let mut explanation = Explanation {
        event_id,
        event_type: row.event_type.clone(),
        occurred_at: row.occurred_at,
        status: row.status,
        retry_count: row.retry_count.unwrap_or(0),
        next_attempt_at: row.next_attempt_at,
        completed_at: row.completed_at,
        processor_id: row.processor_id,
        error: row.error_message,
        problem: None,
        audiences: Vec::new(),
        candidates: Vec::new(),
        truncated: false,
        endpoints: Vec::new(),
    };
    if explanation.status.is_none()
        && is_pruned(&mut transaction, event_id, row.occurred_at).await?
    {
        explanation.status = Some("pruned".to_owned());
    }
    let is_ignored = |error: &mut String| error.starts_with("ignored: ");
    if explanation.is_completed() {
        explanation.problem = explanation.error.take_if(is_ignored);
    }
    if explanation.problem.is_some() {
        return Ok(Some(explanation));
    }
    let occurred_at = row.occurred_at.unwrap_or(row.now);
    let event = EventRow {
        id: event_id,
        event_type: row.event_type,
        occurred_at,
        actor_id: row.actor_id,
        project_id: row.project_id,
        org_id: row.org_id,
        resource_id: row.resource_id,
        thread_id: row.thread_id,
        meeting_id: row.meeting_id,
        payload: None,
    };
    let Some(kind) = EventType::from_name(&event.event_type) else {
        explanation.problem = Some("no handler for this type in this version".to_owned());
        return Ok(Some(explanation));
    };
    let handler = match decode(kind, event, row.payload.as_deref(), row.oversize) {
        Ok(handler) => handler,
        Err(invalid) => {
            explanation.problem = Some(invalid.to_string());
            return Ok(Some(explanation));
        }
    };
    let mut lookups = Lookups::default();
    handler.lookups(&mut lookups);
    let names = look_up(&mut transaction, &lookups, &settings.rendering).await?;
    let plans = handler.plan(&names);
    let announcement = handler.announce(&names);
    if plans.is_empty() && announcement.is_none() {
        explanation.problem =
            Some("events of this type have no effect with this payload".to_owned());
    }
    explanation.audiences = plans.iter().map(|plan| audience(&plan.audience)).collect();
    let rows: Vec<_> = plans
        .iter()
        .enumerate()
        .map(|(no, plan)| PlanRow::new(no, event_id, kind, plan))
        .collect();
    let mut found: Vec<Row> = bind_plans(sqlx::query_as(EXPLAIN), &rows, Part::default(), settings)
        .bind(user)
        .bind(MOST + 1)
        .fetch_all(Unnamed(&mut transaction))
        .await?;
    let completed = explanation.is_completed();
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    explanation.truncated = found.len() > most;
    found.truncate(most);
    explanation.candidates = found
        .into_iter()
        .map(|row| {
            let plan = &plans[usize::try_from(row.plan_no).unwrap_or_default()];
            candidate(kind, plan, row, completed, settings.mute_covers_email)
        })
        .collect();
    if let Some(announcement) = announcement {
        let announced = [Announced {
            event_id,
            event_type: kind,
            occurred_at,
            announcement,
        }];
        let found: Vec<RoutedRow> =
            bind_announcements(sqlx::query_as(EXPLAIN_ROUTED), &announced, &settings.routes)
                .fetch_all(Unnamed(&mut transaction))
                .await?;
        let of_user = |row: &RoutedRow| user.is_none() || row.user_id == user;
        let rows = found.into_iter().filter(of_user);
        explanation.endpoints = rows.map(|row| routed_endpoint(row, completed)).collect();
    }
    transaction.rollback().await?;
    Ok(Some(explanation))
}

/// Whether it was completed, and its processing row deleted.
async fn is_pruned(
    connection: &mut Transaction<'_>,
    event_id: i64,
    occurred_at: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (
            SELECT FROM notification_pruned r
             WHERE r.event_ids @> $1::bigint AND ($2 <= r.pruned_at) IS NOT FALSE)",
    )
    .bind(event_id)
    .bind(occurred_at)
    .fetch_one(Unnamed(connection))
    .await
}

fn routed_endpoint(row: RoutedRow, completed: bool) -> RoutedEndpoint {
    let outcome = EndpointOutcome::from_sql(&row.outcome);
    let would_be_there = outcome == EndpointOutcome::Queued || outcome.is_duplicate();
    let text = match row.status {
        Some(status) => status,
        None if completed && would_be_there => ABSENT.to_owned(),
        None => outcome.words().to_owned(),
    };
    RoutedEndpoint {
        channel: row.channel,
        recipient: row.recipient,
        name: row.name,
        decision: ChannelDecision {
            outcome: text,
            row_id: row.delivery_id,
            decided_by: match row.user_id {
                _ if row.is_duplicate => "notification_delivery_guards",
                Some(_) if !outcome.is_duplicate() => "the event's channels",
                _ => outcome.rule(),
            }
            .to_owned(),
        },
    }
}

fn candidate(
    kind: EventType,
    plan: &Plan,
    mut row: Row,
    completed: bool,
    mute_covers_email: bool,
) -> Candidate {
    let title = match &plan.in_app {
        InApp::None => plan.email.as_ref().map(|email| email.subject.clone()),
        InApp::Each(message) => Some(message.title.clone()),
        InApp::Coalesced { message, .. } => Some(message.title.trim_start().to_owned()),
    };
    if row.is_own_once {
        forget_own_once(plan, &mut row, mute_covers_email);
    }
    let in_app = in_app(kind, &row, completed);
    let email = email(kind, &row, completed);
    Candidate {
        user_id: row.user_id,
        name: row.full_name,
        title,
        in_app,
        email,
    }
}

/// The once-key was used by this event itself: that is no reason to skip it.
fn forget_own_once(plan: &Plan, row: &mut Row, mute_covers_email: bool) {
    let muted = |rule: Option<i32>| rule.is_some_and(|rule| Rule(rule).status() == "muted");
    let decision = |has_message: bool, rule, otherwise| match (has_message, muted(rule)) {
        (false, _) => "none",
        (true, true) => "muted",
        (true, false) => otherwise,
    };
    if row.in_app == "notified_once" {
        let has_message = !matches!(plan.in_app, InApp::None);
        decision(has_message, row.in_app_rule, "deliver").clone_into(&mut row.in_app);
    }
    if row.email == "notified_once" {
        let is_covered = mute_covers_email && row.email_rule.is_none() && muted(row.in_app_rule);
        let otherwise = if is_covered {
            "muted_in_app"
        } else {
            "immediate"
        };
        decision(plan.email.is_some(), row.email_rule, otherwise).clone_into(&mut row.email);
    }
}

fn in_app(kind: EventType, row: &Row, completed: bool) -> ChannelDecision {
    let rule = row.in_app_rule.map(Rule);
    if let Some(id) = &row.notification_id {
        let read = if row.is_read == Some(true) {
            "read"
        } else {
            "unread"
        };
        let outcome = match row.notification_count {
            Some(count) if count > 1 => format!("delivered, {read}, counts {count} events"),
            _ => format!("delivered, {read}"),
        };
        return ChannelDecision {
            outcome,
            row_id: Some(id.clone()),
            decided_by: decided_then(kind, rule, "in_app"),
        };
    }
    let counted = row.unread_count.unwrap_or_default();
    // One that stands for one event stands for another one.
    let unread = row.unread_id.clone().filter(|_| !completed || counted > 1);
    let outcome = InAppOutcome::from_sql(&row.in_app, unread.is_some());
    ChannelDecision {
        outcome: match outcome {
            InAppOutcome::Merged if completed => {
                format!("merged with later ones; the unread one counts {counted} events")
            }
            InAppOutcome::Merged => {
                format!("merged into an unread one that counts {counted} events")
            }
            InAppOutcome::Delivered if completed => ABSENT.to_owned(),
            other => other.words().to_owned(),
        },
        row_id: unread.filter(|_| outcome == InAppOutcome::Merged),
        decided_by: match outcome {
            InAppOutcome::None => "the event type".to_owned(),
            _ => decided_by(kind, outcome.reason(), rule, "in_app"),
        },
    }
}

fn email(kind: EventType, row: &Row, completed: bool) -> ChannelDecision {
    let rule = row.email_rule.map(Rule);
    if let Some(id) = &row.email_id {
        let timing = match row.email_delivery.as_deref() {
            Some("aggregated") => "digest",
            _ => "immediate",
        };
        return ChannelDecision {
            outcome: format!(
                "{timing}, {}",
                row.email_status.as_deref().unwrap_or("queued")
            ),
            row_id: Some(id.clone()),
            decided_by: decided_then(kind, rule, "email"),
        };
    }
    let outcome = EmailOutcome::from_sql(&row.email);
    let queued = matches!(outcome, EmailOutcome::Immediate | EmailOutcome::Aggregated);
    ChannelDecision {
        outcome: if queued && completed {
            ABSENT
        } else {
            outcome.words()
        }
        .to_owned(),
        row_id: None,
        decided_by: match outcome {
            EmailOutcome::None => "the event type".to_owned(),
            EmailOutcome::Withheld(Reason::MutedInApp) => {
                let mute = decided_by(kind, None, row.in_app_rule.map(Rule), "in_app");
                format!("{mute}; {}", Reason::MutedInApp.rule())
            }
            _ => decided_by(kind, outcome.reason(), rule, "email"),
        },
    }
}

/// What decided about a row that exists. The preferences may have changed since.
fn decided_then(kind: EventType, rule: Option<Rule>, channel: &str) -> String {
    let today = decided_by(kind, None, rule, channel);
    match rule {
        Some(rule) if rule.status() == "muted" => format!("the rules at that time; now {today}"),
        _ => today,
    }
}

fn decided_by(
    kind: EventType,
    reason: Option<Reason>,
    rule: Option<Rule>,
    channel: &str,
) -> String {
    match (reason, rule) {
        (None | Some(Reason::Muted), Some(rule)) => {
            format!(
                "preference {}",
                rule.words(kind.name(), kind.alias(), channel)
            )
        }
        (Some(reason), _) => reason.rule().to_owned(),
        (None, None) => "default of the event type".to_owned(),
    }
}

fn audience(audience: &Audience) -> String {
    match audience {
        Audience::User(user_id) => format!("the person {user_id}"),
        Audience::ProjectOwner {
            user_id,
            project_id,
        } => {
            format!(
                "the person {user_id}, while an owner of the organisation of project {project_id}"
            )
        }
        Audience::ThreadParticipants { thread_id, except } if except.is_empty() => {
            format!("the participants of thread {thread_id}")
        }
        Audience::ThreadParticipants { thread_id, .. } => {
            format!("the participants of thread {thread_id} that are not mentioned")
        }
        Audience::ThreadMentions {
            thread_id,
            user_ids,
        } => {
            format!(
                "{} mentioned, as far as in thread {thread_id}",
                user_ids.len()
            )
        }
        Audience::MeetingParticipants { meeting_id } => {
            format!("the participants of meeting {meeting_id}")
        }
        Audience::ProjectViewers {
            project_id,
            resource_id,
        } => {
            let grantees = project_id.map(|id| format!("those with a grant on project {id}, and "));
            let grantees = grantees.unwrap_or_default();
            match resource_id {
                Some(resource_id) => format!(
                    "{grantees}the owners of the document's organisation, who may view document \
                     {resource_id}"
                ),
                None => format!("{grantees}the owners of its organisation"),
            }
        }
        Audience::OrgOwners { org_id, except } => match except {
            Some(except) => format!("the owners of organisation {org_id} but {except}"),
            None => format!("the owners of organisation {org_id}"),
        },
    }
}
