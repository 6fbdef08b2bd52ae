//! Why each candidate of an event is notified or skipped.

mod texts;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::FanOutSettings;
use super::decode::{DecodedEvent, stored_event};
use super::names::look_up;
use super::plan::{Plans, numbered};
use super::resolve::{Explained, decisions};
use super::routed::routed;
use super::run::RunFailed;
use crate::db::{Access, Database, Transaction, Unnamed};
use crate::domain::payload::PAYLOAD_MAX;
use crate::handlers::EventType;

/// Candidates shown at most; more are for `user`.
const MOST: i64 = 1_000;

/// Where an event stands, and why.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Explanation {
    pub event_id: i64,
    pub event_type: String,
    pub occurred_at: Option<DateTime<Utc>>,
    /// `pending`, `processing`, `completed`, `failed`; `pruned` of one that was completed and whose
    /// processing row was deleted; none where the trigger is missing.
    pub status: Option<String>,
    pub retry_count: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
    pub processor_id: Option<String>,
    pub error: Option<String>,
    /// Why it can't be planned, where it can't.
    pub problem: Option<String>,
    /// The audience of each plan, as text.
    pub audiences: Vec<String>,
    pub candidates: Vec<Candidate>,
    /// Whether there are more candidates than are listed.
    pub truncated: bool,
    /// Each endpoint and phone number that it is routed to.
    pub endpoints: Vec<RoutedEndpoint>,
}

/// One person that a plan's audience holds.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    pub user_id: Uuid,
    pub name: Option<String>,
    /// The title of the message before any count, or else the subject.
    pub title: Option<String>,
    pub in_app: ChannelDecision,
    pub email: ChannelDecision,
}

/// What happened or would happen on one channel, and what decided it.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelDecision {
    pub outcome: String,
    pub row_id: Option<String>,
    /// The rule or preference row that decided.
    pub decided_by: String,
}

/// An endpoint or a phone number that an event is routed to.
#[derive(Debug, Clone, Serialize)]
pub struct RoutedEndpoint {
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
    pub(crate) fn is_completed(&self) -> bool {
        matches!(self.status.as_deref(), Some("completed" | "pruned"))
    }
}

/// Explains an event, for one person if `user` is given. `None`: there is no such event.
pub async fn explain(
    database: &Database,
    event_id: i64,
    user: Option<Uuid>,
    settings: &FanOutSettings,
) -> Result<Option<Explanation>, RunFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let Some((mut explanation, event)) = read(&mut transaction, event_id).await? else {
        return Ok(None);
    };
    if let Some(event) = event {
        decide(&mut transaction, &event, user, settings, &mut explanation).await?;
    }
    transaction.rollback().await?;
    Ok(Some(explanation))
}

/// Reads where the event stands; and the event itself, unless it can't be planned.
async fn read(
    transaction: &mut Transaction<'_>,
    event_id: i64,
) -> Result<Option<(Explanation, Option<DecodedEvent>)>, sqlx::Error> {
    let row = sqlx::query_file!("src/fan_out/explain_event.sql", event_id, PAYLOAD_MAX)
        .fetch_optional(Unnamed(transaction))
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let mut explanation = Explanation {
        event_id,
        event_type: row.event_type.clone(),
        occurred_at: row.occurred_at,
        status: row.status,
        retry_count: row.retry_count,
        next_attempt_at: row.next_attempt_at,
        completed_at: row.completed_at,
        processor_id: row.processor_id,
        error: row.error,
        ..Explanation::default()
    };
    if explanation.is_completed() {
        let is_ignored = |error: &mut String| error.starts_with("ignored: ");
        explanation.problem = explanation.error.take_if(is_ignored);
    }
    if explanation.problem.is_some() {
        return Ok(Some((explanation, None)));
    }
    let Some(event_type) = EventType::from_name(&row.event_type) else {
        explanation.problem = Some("no handler for this type in this version".to_owned());
        return Ok(Some((explanation, None)));
    };
    let occurred_at = row.occurred_at.unwrap_or(row.now);
    let event = stored_event!(row, event_id, occurred_at).decode(event_type, 1);
    let invalid = event.handler.as_ref().err();
    explanation.problem = invalid.map(ToString::to_string);
    let event = explanation.problem.is_none().then_some(event);
    Ok(Some((explanation, event)))
}

/// Adds what its handler plans, and what is decided about each candidate and endpoint.
async fn decide(
    transaction: &mut Transaction<'_>,
    event: &DecodedEvent,
    user: Option<Uuid>,
    settings: &FanOutSettings,
    explanation: &mut Explanation,
) -> Result<(), sqlx::Error> {
    let names = look_up(transaction, [event], &settings.rendering).await?;
    let Plans { planned, announced } = Plans::of([event], &names);
    if planned.is_empty() && announced.is_empty() {
        explanation.problem =
            Some("events of this type have no effect with this payload".to_owned());
    }
    let audiences = planned
        .iter()
        .map(|row| texts::audience(&row.plan.audience));
    explanation.audiences = audiences.collect();
    let explained = Explained {
        user,
        at_most: MOST + 1,
    };
    let mut found = decisions(&planned, settings, Some(explained))
        .fetch_all(Unnamed(transaction))
        .await?;
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    explanation.truncated = found.len() > most;
    found.truncate(most);
    let completed = explanation.is_completed();
    for row in found {
        let plan = &numbered(&planned, row.plan_no)?.plan;
        let candidate = texts::candidate(plan, row, completed);
        explanation.candidates.push(candidate);
    }
    let mut rows = routed(transaction, &announced, &settings.routes).await?;
    rows.retain(|row| user.is_none() || row.user_id == user);
    let endpoints = rows.into_iter();
    let endpoints = endpoints.map(|row| texts::routed_endpoint(row, completed));
    explanation.endpoints = endpoints.collect();
    Ok(())
}
