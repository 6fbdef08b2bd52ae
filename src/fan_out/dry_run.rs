//! A dry run: the same planner and the same resolving query in a transaction that cannot write.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::decode::decode;
use super::names::look_up;
use super::outcome::{EmailOutcome, EndpointOutcome, InAppOutcome, Reason, Rule};
use super::report::FanOutReport;
use super::resolve::{Part, PlanRow, bind_plans, with_resolve};
use super::routed::{Announced, bind_announcements, with_routed};
use super::run::{RunFailed, due};
use super::sweep;
use super::{Settings, handled_types};
use crate::db::{Access, Database, ErrorClass, Transaction, Unnamed, sqlstate};
use crate::domain::announcement::Message;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::PAYLOAD_MAX;
use crate::domain::plan::{InApp, Notification, Plan};
use crate::handlers::{EventType, Handler, Lookups, Rendering};

const DRY_RUN: &str = with_resolve!("dry_run.sql");
const DRY_RUN_ROUTED: &str = with_routed!("dry_run_routed.sql");

/// What a run would do with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It would complete, notifying the recipients that follow.
    Complete,
    /// It would fail, for the reason given.
    Fail(String),
    /// Its type has no handler: it would wait for one.
    Wait,
    /// Its type is ignored: it would complete without effect.
    Ignore,
}

/// An event that a run would claim.
#[derive(Debug, Clone)]
pub struct DryEvent {
    /// Its identifier.
    pub event_id: i64,
    /// Its type, as the application wrote it.
    pub event_type: String,
    /// What a run would do with it.
    pub disposition: Disposition,
}

/// A person that an event concerns.
#[derive(Debug)]
pub struct DryRecipient<'a> {
    /// The event.
    pub event_id: i64,
    /// Its type.
    pub event_type: EventType,
    /// The person.
    pub user_id: Uuid,
    /// The plan, the same for its whole audience.
    pub plan: &'a Plan,
    /// What would appear in the application.
    pub in_app: InAppOutcome,
    /// The preference row that decided it.
    pub in_app_rule: Option<Rule>,
    /// What would be mailed.
    pub email: EmailOutcome,
    /// The preference row that decided it.
    pub email_rule: Option<Rule>,
    /// How many events the notification would stand for, where they are counted.
    pub count: Option<i32>,
}

impl DryRecipient<'_> {
    /// The message as the person would see it: where events are counted, with the count.
    #[must_use]
    pub fn message(&self) -> Option<Notification> {
        match &self.plan.in_app {
            InApp::None => None,
            InApp::Each(message) => Some(message.clone()),
            InApp::Coalesced { message, .. } => {
                let count = self.count?;
                let mut message = message.clone();
                message.title.insert_str(0, &count.to_string());
                if let Some(body) = &mut message.body {
                    body.insert_str(0, &count.to_string());
                }
                message.payload.insert("count".into(), count.into());
                Some(message)
            }
        }
    }
}

/// An endpoint, or a phone, that an event reaches.
#[derive(Debug)]
pub struct DryEndpoint<'a> {
    /// The event.
    pub event_id: i64,
    /// Its type.
    pub event_type: EventType,
    /// By which channel.
    pub channel: &'a str,
    /// Whom it is for, as `notification_deliveries` has it.
    pub recipient: &'a str,
    /// The endpoint's name; none of a phone.
    pub name: Option<&'a str>,
    /// What would happen to the message.
    pub outcome: EndpointOutcome,
    /// The message.
    pub message: &'a Message,
}

/// Receives what a dry run finds, in the order of claims.
pub trait Audit {
    /// An event; its recipients follow, and its endpoints.
    fn event(&mut self, event: &DryEvent);
    /// A recipient of the event before.
    fn recipient(&mut self, recipient: &DryRecipient<'_>);
    /// An endpoint of the event before.
    fn endpoint(&mut self, endpoint: &DryEndpoint<'_>);
}

/// Shows what a run would do, and writes nothing. Counts as the run would.
pub async fn dry_run(
    database: &Database,
    settings: &Settings,
    audit: &mut dyn Audit,
) -> Result<FanOutReport, RunFailed> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let mut dry = DryRun {
        audit,
        settings,
        report: FanOutReport::default(),
        unread: HashMap::new(),
        notified_once: HashSet::new(),
        dedup_keys: HashSet::new(),
    };
    dry.report.enqueued = sweep::count(&mut transaction).await?;
    let mut place = None;
    let started = Instant::now();
    let (mut left, mut seen) = (settings.limit.unwrap_or(u64::MAX), 0);
    loop {
        if left == 0 || started.elapsed() >= settings.max_runtime {
            let due = due(&mut transaction).await?;
            dry.report.stopped_early = true;
            dry.report.left = Some(due.saturating_sub(seen));
            break;
        }
        let at_most = left.min(settings.batch_size.into());
        let due = due_page(&mut transaction, settings, place, at_most.cast_signed()).await?;
        let Some(last) = due.last() else { break };
        place = Some((last.next_attempt_at, last.event_id));
        left -= due.len() as u64;
        seen += due.len() as u64;
        dry.batch(&mut transaction, due).await?;
    }
    let report = dry.report;
    transaction.rollback().await?;
    session.close().await?;
    Ok(report)
}

struct DryRun<'a> {
    audit: &'a mut dyn Audit,
    settings: &'a Settings,
    report: FanOutReport,
    /// What earlier batches of this dry run would have left unread, with its count.
    unread: HashMap<(Uuid, String), i32>,
    /// The once-keys that they would have used.
    notified_once: HashSet<(Uuid, String)>,
    /// The dedup keys that they would have taken.
    dedup_keys: HashSet<String>,
}

/// An event that a run would claim, rescue or fail.
struct Due {
    event_id: i64,
    next_attempt_at: DateTime<Utc>,
    event_type: String,
    occurred_at: DateTime<Utc>,
    step: Step,
}

/// What a run would do with it, before recipients are resolved.
enum Step {
    Planned(EventType, Box<dyn Handler>),
    Invalid(InvalidEvent),
    Expired,
    ExpiredUnhandled,
    Ignored,
    OutOfAttempts,
    Gone,
    Unhandled,
}

/// A plan of an event, by its place among those due.
type Planned = (usize, EventType, Plan);

/// What the handlers of a batch plan.
struct BatchPlan {
    plans: Vec<Planned>,
    announced: Vec<Announced>,
}

#[derive(sqlx::FromRow)]
struct Decision {
    plan_no: i32,
    user_id: Uuid,
    in_app: String,
    email: String,
    in_app_rule: Option<i32>,
    email_rule: Option<i32>,
    unread_count: Option<i32>,
}

#[derive(sqlx::FromRow)]
struct RoutedRow {
    announcement_no: i32,
    channel: String,
    recipient: String,
    name: Option<String>,
    outcome: String,
    dedup_keys: Vec<String>,
}

impl DryRun<'_> {
    /// Shows a batch. Where the database refuses it, its halves are tried, as in a run.
    async fn batch(
        &mut self,
        connection: &mut Transaction<'_>,
        mut due: Vec<Due>,
    ) -> Result<(), sqlx::Error> {
        // The real run settles the events of a batch in the order of their identifiers.
        due.sort_unstable_by_key(|due| due.event_id);
        let mut parts = vec![due];
        while let Some(mut part) = parts.pop() {
            connection.command("SAVEPOINT part").await?;
            let Err(error) = self.part(connection, &part).await else {
                connection.command("RELEASE part").await?;
                continue;
            };
            if ErrorClass::of(&error) == ErrorClass::Unreachable {
                return Err(error);
            }
            connection.command("ROLLBACK TO part").await?;
            if part.len() > 1 {
                let later = part.split_off(part.len() / 2);
                parts.extend([later, part]);
            } else {
                self.refused(&part[0], &error);
            }
        }
        Ok(())
    }

    async fn part(
        &mut self,
        connection: &mut Transaction<'_>,
        due: &[Due],
    ) -> Result<(), sqlx::Error> {
        let BatchPlan {
            plans: planned,
            announced,
        } = plan(connection, due, &self.settings.rendering).await?;
        let mut endpoints = self.endpoints(connection, announced).await?;
        let rows: Vec<_> = planned
            .iter()
            .enumerate()
            .map(|(no, (place, kind, plan))| PlanRow::new(no, due[*place].event_id, *kind, plan))
            .collect();
        let mut decisions = bind_plans(
            sqlx::query_as::<_, Decision>(DRY_RUN),
            &rows,
            Part::default(),
            self.settings,
        )
        .fetch(Unnamed(connection));
        // The statement sorts its result: what it refuses, it refuses before the first row.
        let mut shown = 0;
        while let Some(decision) = decisions.try_next().await? {
            let no = usize::try_from(decision.plan_no).unwrap_or_default();
            let (place, kind, plan) = &planned[no];
            // Events without a recipient are shown as well, in their place.
            while shown <= *place {
                self.end_event(&mut endpoints, due[shown].event_id);
                self.event(&due[shown]);
                shown += 1;
            }
            self.recipient(due[*place].event_id, *kind, plan, &decision);
        }
        for due in &due[shown..] {
            self.end_event(&mut endpoints, due.event_id);
            self.event(due);
        }
        self.end_event(&mut endpoints, i64::MAX);
        Ok(())
    }

    /// Routes the announcements to endpoints, in the order of their events.
    async fn endpoints(
        &self,
        connection: &mut Transaction<'_>,
        announced: Vec<Announced>,
    ) -> Result<Endpoints, sqlx::Error> {
        let routed: Vec<RoutedRow> = if announced.is_empty() {
            Vec::new()
        } else {
            let query = sqlx::query_as(DRY_RUN_ROUTED);
            bind_announcements(query, &announced, &self.settings.routes)
                .fetch_all(Unnamed(connection))
                .await?
        };
        Ok(Endpoints {
            announced,
            routed: routed.into_iter().peekable(),
        })
    }

    /// Shows the endpoints of the events before the one given, and counts them.
    fn end_event(&mut self, endpoints: &mut Endpoints, before: i64) {
        while let Some((announced, row)) = endpoints.next_before(before) {
            let mut outcome = EndpointOutcome::from_sql(&row.outcome);
            if outcome == EndpointOutcome::Queued {
                outcome = self.deduplicated(row.dedup_keys);
            }
            self.report.deliveries += u64::from(outcome == EndpointOutcome::Queued);
            self.report.suppressed += u64::from(outcome.is_duplicate());
            self.audit.endpoint(&DryEndpoint {
                event_id: announced.event_id,
                event_type: announced.event_type,
                channel: &row.channel,
                recipient: &row.recipient,
                name: row.name.as_deref(),
                outcome,
                message: &announced.announcement.message,
            });
        }
    }

    /// Takes the dedup keys of a message, unless an earlier message of this dry run holds one of them.
    fn deduplicated(&mut self, dedup_keys: Vec<String>) -> EndpointOutcome {
        let mut held = dedup_keys
            .iter()
            .filter(|key| self.dedup_keys.contains(*key));
        // Of two reasons, the alert's own.
        match held.next() {
            None => {
                self.dedup_keys.extend(dedup_keys);
                EndpointOutcome::Queued
            }
            Some(key) if key.contains("|day:") => EndpointOutcome::DuplicateAlert,
            Some(_) => EndpointOutcome::Duplicate,
        }
    }

    /// Shows an event, and counts it.
    fn event(&mut self, due: &Due) {
        let report = &mut self.report;
        let disposition = match &due.step {
            Step::Planned(..) => {
                report.events += 1;
                Disposition::Complete
            }
            Step::Invalid(invalid) => {
                report.failed += 1;
                Disposition::Fail(invalid.to_string())
            }
            Step::Expired => {
                report.expired += 1;
                Disposition::Fail("expired: pending for longer than the age limit".to_owned())
            }
            Step::ExpiredUnhandled => {
                let count = report.expired_unhandled.entry(due.event_type.clone());
                *count.or_default() += 1;
                Disposition::Fail(
                    "expired: no handler for its type within the age limit".to_owned(),
                )
            }
            Step::Ignored => {
                report.ignored += 1;
                Disposition::Ignore
            }
            Step::OutOfAttempts => {
                report.failed += 1;
                Disposition::Fail("stuck, and its attempts are spent".to_owned())
            }
            Step::Gone => {
                report.failed += 1;
                Disposition::Fail("the event is gone, or hidden from the job's role".to_owned())
            }
            Step::Unhandled => {
                report.unhandled_types.insert(due.event_type.clone());
                Disposition::Wait
            }
        };
        self.show(due, disposition);
    }

    fn refused(&mut self, due: &Due, error: &sqlx::Error) {
        let code = sqlstate(error).unwrap_or_else(|| "no SQLSTATE".to_owned());
        let message = error
            .as_database_error()
            .map_or_else(|| error.to_string(), |error| error.message().to_owned());
        let count = if ErrorClass::of(error) == ErrorClass::Refused {
            &mut self.report.failed
        } else {
            &mut self.report.retried
        };
        *count += 1;
        self.show(
            due,
            Disposition::Fail(format!("database refused: {code}: {message}")),
        );
    }

    fn show(&mut self, due: &Due, disposition: Disposition) {
        self.audit.event(&DryEvent {
            event_id: due.event_id,
            event_type: due.event_type.clone(),
            disposition,
        });
    }

    fn recipient(
        &mut self,
        event_id: i64,
        event_type: EventType,
        plan: &Plan,
        decision: &Decision,
    ) {
        let user_id = decision.user_id;
        let mut email = EmailOutcome::from_sql(&decision.email);
        let mut in_app = InAppOutcome::from_sql(&decision.in_app, false);
        let queued = matches!(email, EmailOutcome::Immediate | EmailOutcome::Aggregated);
        if let Some(key) = &plan.once_key
            && (queued || in_app == InAppOutcome::Delivered)
            && !self.notified_once.insert((user_id, key.clone()))
        {
            in_app = InAppOutcome::Withheld(Reason::NotifiedOnce);
            email = EmailOutcome::Withheld(Reason::NotifiedOnce);
        }
        let mut count = None;
        if let (InApp::Coalesced { key, .. }, InAppOutcome::Delivered) = (&plan.in_app, in_app) {
            let unread = self.unread.entry((user_id, key.clone())).or_insert(0);
            *unread = if *unread == 0 {
                decision.unread_count.unwrap_or(0)
            } else {
                *unread
            } + 1;
            if *unread > 1 {
                in_app = InAppOutcome::Merged;
            }
            count = Some(*unread);
        }
        self.report.notifications += u64::from(in_app == InAppOutcome::Delivered);
        self.report.merged += u64::from(in_app == InAppOutcome::Merged);
        self.report.emails += u64::from(matches!(
            email,
            EmailOutcome::Immediate | EmailOutcome::Aggregated
        ));
        let withheld =
            |reason: Option<Reason>| reason.is_some_and(|reason| reason != Reason::Actor);
        self.report.suppressed += u64::from(withheld(in_app.reason()) || withheld(email.reason()));
        self.audit.recipient(&DryRecipient {
            event_id,
            event_type,
            user_id,
            plan,
            in_app,
            in_app_rule: decision.in_app_rule.map(Rule),
            email,
            email_rule: match email {
                EmailOutcome::Withheld(Reason::MutedInApp) => decision.in_app_rule,
                _ => decision.email_rule,
            }
            .map(Rule),
            count,
        });
    }
}

/// The endpoints that the announcements of a batch reach.
struct Endpoints {
    announced: Vec<Announced>,
    routed: std::iter::Peekable<std::vec::IntoIter<RoutedRow>>,
}

impl Endpoints {
    /// The next one, if it is of an event before the one given.
    fn next_before(&mut self, event_id: i64) -> Option<(&Announced, RoutedRow)> {
        let announced = &self.announced;
        let of = |row: &RoutedRow| &announced[usize::try_from(row.announcement_no).unwrap_or(0)];
        let row = self.routed.next_if(|row| of(row).event_id < event_id)?;
        Some((of(&row), row))
    }
}

async fn plan(
    connection: &mut Transaction<'_>,
    due: &[Due],
    rendering: &Rendering,
) -> Result<BatchPlan, sqlx::Error> {
    let handlers = due
        .iter()
        .enumerate()
        .filter_map(|(place, due)| match &due.step {
            Step::Planned(kind, handler) => Some((place, *kind, handler)),
            _ => None,
        });
    let mut lookups = Lookups::default();
    for (_, _, handler) in handlers.clone() {
        handler.lookups(&mut lookups);
    }
    let names = look_up(connection, &lookups, rendering).await?;
    let plans = handlers.clone().flat_map(|(place, kind, handler)| {
        let plans = handler.plan(&names).into_iter();
        plans.map(move |plan| (place, kind, plan))
    });
    let announced = handlers.filter_map(|(place, event_type, handler)| {
        Some(Announced {
            event_id: due[place].event_id,
            event_type,
            occurred_at: due[place].occurred_at,
            announcement: handler.announce(&names)?,
        })
    });
    Ok(BatchPlan {
        plans: plans.collect(),
        announced: announced.collect(),
    })
}

async fn due_page(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    after: Option<(DateTime<Utc>, i64)>,
    at_most: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/fan_out/dry_run_due.sql",
        at_most,
        settings.max_event_age.as_secs_f64(),
        &handled_types(),
        settings.stuck_after.as_secs_f64(),
        i32::try_from(settings.max_attempts).unwrap_or(i32::MAX),
        after.map(|(time, _)| time),
        after.map(|(_, event_id)| event_id),
        &settings.ignored_types,
        PAYLOAD_MAX,
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let due = rows.into_iter().map(|row| {
        let event_type = row.event_type.clone();
        let step = match (row.disposition.as_str(), EventType::from_name(&event_type)) {
            ("claimed", Some(kind)) => {
                let event = EventRow {
                    id: row.event_id,
                    event_type: row.event_type,
                    occurred_at: row.occurred_at,
                    actor_id: row.actor_id,
                    project_id: row.project_id,
                    org_id: row.org_id,
                    resource_id: row.resource_id,
                    thread_id: row.thread_id,
                    meeting_id: row.meeting_id,
                    payload: None,
                };
                match decode(kind, event, row.payload.as_deref(), row.oversize) {
                    Ok(handler) => Step::Planned(kind, handler),
                    Err(invalid) => Step::Invalid(invalid),
                }
            }
            ("ignored", _) => Step::Ignored,
            ("expired", Some(_)) => Step::Expired,
            ("expired", None) => Step::ExpiredUnhandled,
            ("out_of_attempts", _) => Step::OutOfAttempts,
            ("gone", _) => Step::Gone,
            _ => Step::Unhandled,
        };
        Due {
            event_id: row.event_id,
            next_attempt_at: row.next_attempt_at,
            event_type,
            occurred_at: row.occurred_at,
            step,
        }
    });
    Ok(due.collect())
}
