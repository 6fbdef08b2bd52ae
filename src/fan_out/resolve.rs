//! Plans as the statements take them, and decisions as they return them.

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use uuid::Uuid;

use super::FanOutSettings;
use super::outcome::{Outcome, PreferenceStatus};
use super::plan::Planned;
use crate::domain::plan::{Audience, Email, EmailTiming, Notification};

/// The head of each statement that writes, shows or explains decisions.
macro_rules! with_resolve {
    ($statement:literal) => {
        concat!(
            include_str!("resolve/audience.sql"),
            include_str!("resolve/person.sql"),
            include_str!("resolve/preference.sql"),
            include_str!("resolve/decision.sql"),
            include_str!($statement)
        )
    };
}
pub(super) use with_resolve;

const READ_DECISIONS: &str = with_resolve!("read_decisions.sql");

/// A decision as the dry run and explain read it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Decision {
    pub(super) plan_no: i32,
    pub(super) user_id: Uuid,
    pub(super) in_app: Outcome,
    pub(super) email: Outcome,
    pub(super) in_app_status: Option<PreferenceStatus>,
    pub(super) email_status: Option<PreferenceStatus>,
    /// The preference row that decides, as text.
    pub(super) in_app_rule: Option<String>,
    pub(super) email_rule: Option<String>,
    /// The unread notification that it would be merged into.
    pub(super) unread_id: Option<String>,
    pub(super) unread_count: Option<i32>,
    /// This and what follows: where it is explained.
    pub(super) full_name: Option<String>,
    pub(super) notification_id: Option<String>,
    pub(super) is_read: Option<bool>,
    pub(super) notification_count: Option<i32>,
    pub(super) mail_id: Option<String>,
    pub(super) mail_status: Option<String>,
    pub(super) mail_delivery: Option<String>,
}

/// Whom decisions are explained of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Explained {
    /// Nobody else, if given.
    pub(super) user: Option<Uuid>,
    pub(super) at_most: i64,
}

/// Asks for the decisions, by plan and person; explained, with the rows that exist.
pub(super) fn decisions<'q>(
    plans: &'q [Planned],
    settings: &FanOutSettings,
    explained: Option<Explained>,
) -> QueryAs<'q, Postgres, Decision, PgArguments> {
    let query = sqlx::query_as(READ_DECISIONS);
    bind_plans(query, plans, Part::default(), settings, explained.is_some())
        .bind(explained.and_then(|explained| explained.user))
        .bind(explained.map(|explained| explained.at_most))
}

/// People by the order of their keys: after the one, up to the other, each without end if not given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) after: Option<Uuid>,
    pub(super) until: Option<Uuid>,
}

/// Binds what `resolve.sql` asks for, `$1` to `$33`. A column for each part of the plans, and not one
/// JSON document: the server would take it apart again, which cost more than reading the preferences
/// of all concerned.
pub(super) fn bind_plans<'q, O>(
    query: QueryAs<'q, Postgres, O, PgArguments>,
    plans: &'q [Planned],
    part: Part,
    settings: &FanOutSettings,
    is_explained: bool,
) -> QueryAs<'q, Postgres, O, PgArguments> {
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let audiences: Vec<_> = plans.iter().map(AudienceColumns::of).collect();
    let messages: Vec<_> = plans.iter().map(|row| row.plan.in_app.message()).collect();
    let emails: Vec<_> = plans.iter().map(|row| row.plan.email.as_ref()).collect();
    let message = |of: fn(&'q Notification) -> Option<&'q str>| {
        column(&messages, |message| message.and_then(of))
    };
    let query = query
        .bind(column(plans, |row| count(row.plan_no)))
        .bind(column(plans, |row| row.event_id))
        .bind(column(plans, |row| count(row.events)))
        .bind(column(plans, |row| row.event_type.name()))
        .bind(column(plans, |row| row.event_type.alias()))
        .bind(column(plans, |row| row.plan.actor_id))
        .bind(column(&audiences, |row| row.kind))
        .bind(column(&audiences, |row| row.user_id))
        .bind(column(&audiences, |row| list(row.user_ids)))
        .bind(column(&audiences, |row| row.project_id))
        .bind(column(&audiences, |row| row.resource_id))
        .bind(column(&audiences, |row| row.org_id))
        .bind(column(&audiences, |row| row.thread_id))
        .bind(column(&audiences, |row| row.meeting_id))
        .bind(column(plans, |row| row.plan.scopes.project_id))
        .bind(column(plans, |row| row.plan.scopes.thread_id));
    query
        .bind(column(&messages, Option::is_some))
        .bind(message(|message| Some(&message.title)))
        .bind(message(|message| message.body.as_deref()))
        .bind(message(|message| message.link_url.as_deref()))
        .bind(column(&messages, |message| {
            message.map(|message| Json(&message.payload))
        }))
        .bind(column(plans, |row| row.plan.in_app.coalesce_key()))
        .bind(column(&emails, |email| email.map(timing)))
        .bind(column(&emails, |email| {
            email.map(|email| email.subject.as_str())
        }))
        .bind(column(&emails, |email| {
            email.map(|email| Json(&email.body_data))
        }))
        .bind(column(&emails, |email| {
            email.and_then(|email| email.project_id)
        }))
        .bind(column(&emails, |email| {
            email.and_then(|email| email.project_name.as_deref())
        }))
        .bind(column(plans, |row| row.plan.once_key.as_deref()))
        .bind(column(plans, |row| row.plan.once_ends_with_notification))
        .bind(part.after)
        .bind(part.until)
        .bind(settings.mute_covers_email)
        .bind(is_explained)
}

pub(super) fn column<'r, R, T>(rows: &'r [R], of: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn list(users: &[Uuid]) -> String {
    let users: Vec<String> = users.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", users.join(","))
}

fn timing(email: &Email) -> &'static str {
    match email.timing {
        EmailTiming::Immediate => "immediate",
        EmailTiming::Aggregated => "aggregated",
    }
}

/// An audience in the columns of `resolve.sql`.
#[derive(Debug, Default)]
struct AudienceColumns<'a> {
    kind: &'static str,
    user_id: Option<Uuid>,
    user_ids: &'a [Uuid],
    project_id: Option<Uuid>,
    resource_id: Option<Uuid>,
    org_id: Option<Uuid>,
    thread_id: Option<Uuid>,
    meeting_id: Option<Uuid>,
}

impl<'a> AudienceColumns<'a> {
    fn of(planned: &'a Planned) -> Self {
        let mut row = Self::default();
        row.kind = match &planned.plan.audience {
            Audience::User(user_id) => {
                row.user_id = Some(*user_id);
                "user"
            }
            Audience::ProjectOwner {
                user_id,
                project_id,
            } => {
                row.user_id = Some(*user_id);
                row.project_id = Some(*project_id);
                "project_owner"
            }
            Audience::ThreadParticipants { thread_id, except } => {
                row.thread_id = Some(*thread_id);
                row.user_ids = planned.only.as_deref().unwrap_or(except);
                if planned.only.is_some() {
                    "thread_among"
                } else {
                    "thread"
                }
            }
            Audience::ThreadMentions {
                thread_id,
                user_ids,
            } => {
                row.thread_id = Some(*thread_id);
                row.user_ids = user_ids;
                "mentioned"
            }
            Audience::MeetingParticipants { meeting_id } => {
                row.meeting_id = Some(*meeting_id);
                "meeting"
            }
            Audience::ProjectViewers {
                project_id,
                resource_id,
            } => {
                row.project_id = *project_id;
                row.resource_id = *resource_id;
                "project_viewers"
            }
            Audience::OrgOwners { org_id, except } => {
                row.org_id = Some(*org_id);
                row.user_ids = except.as_slice();
                "org_owners"
            }
        };
        row
    }
}
