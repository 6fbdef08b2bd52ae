//! A dry run: the same planner and the same resolving query in a transaction that cannot write.

mod audit;

pub use audit::{Audit, DryEndpoint, DryEvent, DryRecipient, EventOutcome};

use std::collections::{HashMap, HashSet};
use std::iter::Peekable;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use uuid::Uuid;

use super::FanOutSettings;
use super::decode::{DecodedEvent, Disposition, stored_event};
use super::names::look_up;
use super::outcome::{EndpointOutcome, Outcome, Reason};
use super::plan::{Planned, Plans, numbered};
use super::report::FanOutReport;
use super::resolve::{Decision, decisions};
use super::routed::{Announced, RoutedRow, routed};
use super::run::RunFailed;
use super::steps::due;
use super::sweep;
use crate::db::{Access, Database, ErrorClass, Transaction, Unnamed, said, sqlstate};
use crate::domain::payload::PAYLOAD_MAX;
use crate::handlers::EventType;

/// Shows what a run would do, and writes nothing. Counts as the run would.
pub async fn dry_run(
    database: &Database,
    settings: &FanOutSettings,
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
    settings: &'a FanOutSettings,
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
    disposition: Disposition,
    is_out_of_attempts: bool,
    /// Decoded, if it would be claimed.
    event: Option<DecodedEvent>,
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
        let events: Vec<_> = due.iter().filter_map(|due| due.event.as_ref()).collect();
        let names = look_up(connection, events.iter().copied(), &self.settings.rendering).await?;
        let Plans { planned, announced } = Plans::of(events, &names);
        let mut endpoints = Vec::new();
        for row in routed(connection, &announced, &self.settings.routes).await? {
            endpoints.push((numbered(&announced, row.announcement_no)?, row));
        }
        let mut endpoints = endpoints.into_iter().peekable();
        let mut decisions = decisions(&planned, self.settings, None).fetch(Unnamed(connection));
        // The statement sorts its result: what it refuses, it refuses before the first row.
        let mut left = due.iter().peekable();
        while let Some(decision) = decisions.try_next().await? {
            let planned = numbered(&planned, decision.plan_no)?;
            // Events without a recipient are shown as well, in their place.
            while let Some(due) = left.next_if(|due| due.event_id <= planned.event_id) {
                self.end_event(&mut endpoints, due.event_id);
                self.event(due);
            }
            self.recipient(planned, &decision);
        }
        for due in left {
            self.end_event(&mut endpoints, due.event_id);
            self.event(due);
        }
        self.end_event(&mut endpoints, i64::MAX);
        Ok(())
    }

    /// Shows the endpoints of the events before the one given, and counts them.
    fn end_event<'a>(
        &mut self,
        endpoints: &mut Peekable<impl Iterator<Item = (&'a Announced, RoutedRow)>>,
        before: i64,
    ) {
        while let Some((announced, row)) =
            endpoints.next_if(|(announced, _)| announced.event_id < before)
        {
            let outcome = match row.outcome {
                EndpointOutcome::Queued => self.deduplicated(row.dedup_keys),
                other => other,
            };
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
        let fail = |count: &mut u64, reason: &str| {
            *count += 1;
            EventOutcome::Fail(reason.to_owned())
        };
        let event = due.event.as_ref();
        let invalid = event.and_then(|event| event.handler.as_ref().err());
        let outcome = match (due.disposition, invalid) {
            _ if due.is_out_of_attempts => {
                fail(&mut report.failed, "stuck, and its attempts are spent")
            }
            (_, Some(invalid)) => fail(&mut report.failed, &invalid.to_string()),
            (Disposition::Claimed, None) => {
                report.events += 1;
                EventOutcome::Complete
            }
            (Disposition::Ignored, None) => {
                report.ignored += 1;
                EventOutcome::Ignore
            }
            (Disposition::Expired, None) if EventType::from_name(&due.event_type).is_some() => {
                fail(
                    &mut report.expired,
                    "expired: pending for longer than the age limit",
                )
            }
            (Disposition::Expired, None) => fail(
                report
                    .expired_unhandled
                    .entry(due.event_type.clone())
                    .or_default(),
                "expired: no handler for its type within the age limit",
            ),
            (Disposition::Gone, None) => fail(
                &mut report.failed,
                "the event is gone, or hidden from the job's role",
            ),
            (Disposition::Unhandled, None) => {
                report.unhandled_types.insert(due.event_type.clone());
                EventOutcome::Wait
            }
        };
        self.show(due, outcome);
    }

    fn refused(&mut self, due: &Due, error: &sqlx::Error) {
        let code = sqlstate(error).unwrap_or_else(|| "no SQLSTATE".to_owned());
        *match ErrorClass::of(error) {
            ErrorClass::Refused => &mut self.report.failed,
            _ => &mut self.report.retried,
        } += 1;
        let error = format!("database refused: {code}: {}", said(error));
        self.show(due, EventOutcome::Fail(error));
    }

    fn show(&mut self, due: &Due, outcome: EventOutcome) {
        self.audit.event(&DryEvent {
            event_id: due.event_id,
            event_type: &due.event_type,
            outcome,
        });
    }

    fn recipient(&mut self, planned: &Planned, decision: &Decision) {
        let (user_id, plan) = (decision.user_id, &planned.plan);
        let (mut in_app, mut email) = (decision.in_app, decision.email);
        if let Some(key) = &plan.once_key
            && (email.is_mailed() || in_app.is_shown())
            && !self.notified_once.insert((user_id, key.clone()))
        {
            in_app = Outcome::Withheld(Reason::NotifiedOnce);
            email = in_app;
        }
        let mut count = None;
        if let (Some(key), Outcome::Delivered) = (plan.in_app.coalesce_key(), in_app) {
            let unread = self.unread.entry((user_id, key.to_owned()));
            let unread = unread.or_insert(decision.unread_count.unwrap_or(0));
            *unread += 1;
            if *unread > 1 {
                in_app = Outcome::Merged;
            }
            count = Some(*unread);
        }
        let is_suppressed = |outcome: Outcome| {
            let reason = outcome.reason();
            reason.is_some_and(|reason| reason != Reason::Actor)
        };
        self.report.notifications += u64::from(in_app == Outcome::Delivered);
        self.report.merged += u64::from(in_app == Outcome::Merged);
        self.report.emails += u64::from(email.is_mailed());
        self.report.suppressed += u64::from(is_suppressed(in_app) || is_suppressed(email));
        self.audit.recipient(&DryRecipient {
            event_id: planned.event_id,
            event_type: planned.event_type,
            user_id,
            plan,
            in_app,
            in_app_preference: decision.in_app_status,
            email,
            email_preference: match email {
                Outcome::Withheld(Reason::MutedInApp) => decision.in_app_status,
                _ => decision.email_status,
            },
            count,
        });
    }
}

async fn due_page(
    connection: &mut Transaction<'_>,
    settings: &FanOutSettings,
    after: Option<(DateTime<Utc>, i64)>,
    at_most: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/fan_out/dry_run_due.sql",
        at_most,
        settings.max_event_age.as_secs_f64(),
        &EventType::all_spellings(),
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
        let (disposition, is_out_of_attempts) = (row.disposition, row.is_out_of_attempts);
        let is_claimed = disposition == Disposition::Claimed && !is_out_of_attempts;
        let handled = EventType::from_name(&row.event_type).filter(|_| is_claimed);
        Due {
            event_id: row.event_id,
            next_attempt_at: row.next_attempt_at,
            event_type: row.event_type.clone(),
            disposition,
            is_out_of_attempts,
            event: handled.map(|event_type| {
                stored_event!(row, row.event_id, row.occurred_at).decode(event_type, 1)
            }),
        }
    });
    Ok(due.collect())
}
