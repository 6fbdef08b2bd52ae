//! Plans as the statements take them: a column for each of their parts.

use serde_json::{Map, Value};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use uuid::Uuid;

use super::Settings;
use super::decode::DecodedEvent;
use crate::domain::plan::{Audience, EmailTiming, InApp, Plan};

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

/// People by the order of their keys: after the one, up to the other, each without end if not given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) after: Option<Uuid>,
    pub(super) until: Option<Uuid>,
}

/// Binds plans as `$1` to `$28`, the part of their audiences as `$29` and `$30`, and whether an in-app
/// mute covers e-mail as `$31`. Columns, and not one JSON document: the server would take it apart
/// again, which cost more than reading the preferences of all concerned.
pub(super) fn bind_plans<'q, O>(
    query: QueryAs<'q, Postgres, O, PgArguments>,
    rows: &'q [PlanRow<'q>],
    part: Part,
    settings: &Settings,
) -> QueryAs<'q, Postgres, O, PgArguments> {
    fn column<'q, T>(rows: &'q [PlanRow<'q>], of: impl Fn(&'q PlanRow<'q>) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let list = |users: &[Uuid]| {
        let users: Vec<String> = users.iter().map(Uuid::to_string).collect();
        format!("{{{}}}", users.join(","))
    };
    query
        .bind(column(rows, |row| count(row.plan_no)))
        .bind(column(rows, |row| row.event_id))
        .bind(column(rows, |row| count(row.events)))
        .bind(column(rows, |row| row.event_type))
        .bind(column(rows, |row| row.event_alias))
        .bind(column(rows, |row| row.actor_id))
        .bind(column(rows, |row| row.audience))
        .bind(column(rows, |row| row.user_id))
        .bind(column(rows, |row| list(&row.user_ids)))
        .bind(column(rows, |row| row.project_id))
        .bind(column(rows, |row| row.resource_id))
        .bind(column(rows, |row| row.org_id))
        .bind(column(rows, |row| row.thread_id))
        .bind(column(rows, |row| row.meeting_id))
        .bind(column(rows, |row| row.scope_project_id))
        .bind(column(rows, |row| row.scope_thread_id))
        .bind(column(rows, |row| row.in_app))
        .bind(column(rows, |row| row.title))
        .bind(column(rows, |row| row.body))
        .bind(column(rows, |row| row.link_url))
        .bind(column(rows, |row| row.payload.map(Json)))
        .bind(column(rows, |row| row.coalesce_key))
        .bind(column(rows, |row| row.email))
        .bind(column(rows, |row| row.subject))
        .bind(column(rows, |row| row.body_data.map(Json)))
        .bind(column(rows, |row| row.email_project_id))
        .bind(column(rows, |row| row.email_project_name))
        .bind(column(rows, |row| row.once_key))
        .bind(part.after)
        .bind(part.until)
        .bind(settings.mute_covers_email)
}

/// One plan, in the columns of `resolve.sql`.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanRow<'a> {
    pub(super) plan_no: usize,
    /// The event, or the newest of several.
    pub(super) event_id: i64,
    /// How many events it stands for.
    pub(super) events: usize,
    pub(super) event_type: &'static str,
    pub(super) event_alias: Option<&'static str>,
    pub(super) actor_id: Option<Uuid>,
    pub(super) audience: &'static str,
    pub(super) user_id: Option<Uuid>,
    pub(super) user_ids: Vec<Uuid>,
    pub(super) project_id: Option<Uuid>,
    pub(super) resource_id: Option<Uuid>,
    pub(super) org_id: Option<Uuid>,
    pub(super) thread_id: Option<Uuid>,
    pub(super) meeting_id: Option<Uuid>,
    pub(super) scope_project_id: Option<Uuid>,
    pub(super) scope_thread_id: Option<Uuid>,
    pub(super) in_app: bool,
    pub(super) title: Option<&'a str>,
    pub(super) body: Option<&'a str>,
    pub(super) link_url: Option<&'a str>,
    pub(super) payload: Option<&'a Map<String, Value>>,
    pub(super) coalesce_key: Option<&'a str>,
    pub(super) email: Option<&'static str>,
    pub(super) subject: Option<&'a str>,
    pub(super) body_data: Option<&'a Map<String, Value>>,
    pub(super) email_project_id: Option<Uuid>,
    pub(super) email_project_name: Option<&'a str>,
    pub(super) once_key: Option<&'a str>,
}

impl<'a> PlanRow<'a> {
    /// The audience of all in a thread but `user_ids`.
    pub(super) const THREAD: &'static str = "thread";
    /// That of those in a thread that are among `user_ids`.
    pub(super) const THREAD_AMONG: &'static str = "thread_among";

    /// Lays a plan out. `plan_no` is its place in the batch.
    pub(super) fn new(plan_no: usize, event: &DecodedEvent, plan: &'a Plan) -> Self {
        let mut row = Self {
            plan_no,
            event_id: event.event_id,
            events: 1,
            event_type: event.event_type.name(),
            event_alias: event.event_type.alias(),
            actor_id: plan.actor_id,
            scope_project_id: plan.scopes.project_id,
            scope_thread_id: plan.scopes.thread_id,
            once_key: plan.once_key.as_deref(),
            ..Self::default()
        };
        row.set_audience(&plan.audience);
        row.set_in_app(&plan.in_app);
        if let Some(email) = &plan.email {
            row.email = Some(match email.timing {
                EmailTiming::Immediate => "immediate",
                EmailTiming::Aggregated => "aggregated",
            });
            row.subject = Some(&email.subject);
            row.body_data = Some(&email.body_data);
            row.email_project_id = email.project_id;
            row.email_project_name = email.project_name.as_deref();
        }
        row
    }

    /// Whether its notifications may be merged into unread ones.
    pub(super) fn is_coalesced(&self) -> bool {
        self.coalesce_key.is_some()
    }

    fn set_audience(&mut self, audience: &Audience) {
        match audience {
            Audience::User(user_id) => {
                self.audience = "user";
                self.user_id = Some(*user_id);
            }
            Audience::ProjectOwner {
                user_id,
                project_id,
            } => {
                self.audience = "project_owner";
                self.user_id = Some(*user_id);
                self.project_id = Some(*project_id);
            }
            Audience::ThreadParticipants { thread_id, except } => {
                self.audience = Self::THREAD;
                self.thread_id = Some(*thread_id);
                self.user_ids.clone_from(except);
            }
            Audience::ThreadMentions {
                thread_id,
                user_ids,
            } => {
                self.audience = "mentioned";
                self.thread_id = Some(*thread_id);
                self.user_ids.clone_from(user_ids);
            }
            Audience::MeetingParticipants { meeting_id } => {
                self.audience = "meeting";
                self.meeting_id = Some(*meeting_id);
            }
            Audience::ProjectViewers {
                project_id,
                resource_id,
            } => {
                self.audience = "project_viewers";
                self.project_id = *project_id;
                self.resource_id = *resource_id;
            }
            Audience::OrgOwners { org_id, except } => {
                self.audience = "org_owners";
                self.org_id = Some(*org_id);
                self.user_ids.extend(except);
            }
        }
    }

    fn set_in_app(&mut self, in_app: &'a InApp) {
        let message = match in_app {
            InApp::None => return,
            InApp::Each(message) => message,
            InApp::Coalesced { key, message } => {
                self.coalesce_key = Some(key);
                message
            }
        };
        self.in_app = true;
        self.title = Some(&message.title);
        self.body = message.body.as_deref();
        self.link_url = message.link_url.as_deref();
        self.payload = Some(&message.payload);
    }
}
