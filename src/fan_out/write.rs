//! Writing what is planned and settling the events, in one fenced transaction.

use serde::Serialize;
use sqlx::types::Json;

use super::Settings;
use super::claim::ClaimedEvent;
use super::coalesce::coalesce;
use super::holders::Holders;
use super::large_audience::{self, LargeAudiences};
use super::names::look_up;
use super::report::FanOutReport;
use super::resolve::{Part, PlanRow, bind_plans, with_resolve};
use super::routed::{Announced, bind_announcements, with_routed};
use crate::db::{Access, ErrorClass, Session, Transaction, Unnamed};
use crate::domain::plan::{InApp, Plan};
use crate::handlers::{Lookups, Names};

const WRITE_EACH: &str = with_resolve!("write_each.sql");
const WRITE_COALESCED: &str = with_resolve!("write_coalesced.sql");
const WRITE_ROUTED: &str = with_routed!("write_routed.sql");

/// Announcements written by one statement. Each one is compared with those before it, so the cost
/// grows with the square.
const ANNOUNCED_AT_ONCE: usize = 500;

/// An event whose claim is still ours.
struct Held {
    event_id: i64,
    /// The transaction that proved it.
    xid: i64,
    /// Seconds since it occurred.
    latency: Option<f64>,
    /// Whether nobody was notified of it before.
    is_fresh: bool,
}

#[derive(Debug, Serialize)]
struct Invalid {
    event_id: i64,
    error: String,
}

#[derive(Debug, sqlx::FromRow)]
struct Each {
    notifications: i64,
    emails: i64,
    settled: i64,
    suppressed: i64,
}

#[derive(Debug, sqlx::FromRow)]
struct Coalesced {
    notifications: i64,
    delivered: i64,
    suppressed: i64,
}

#[derive(Debug, sqlx::FromRow)]
struct Routed {
    deliveries: i64,
    duplicates: i64,
}

/// What became of events that were written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) report: FanOutReport,
    /// Those of a large audience that were not alone, ascending. Nothing was written for them; they
    /// are ours as before.
    pub(super) set_aside: Vec<i64>,
    /// How many plans were written: notifications of a transaction are created in their order.
    pub(super) plans: usize,
    /// The transaction that wrote it.
    pub(super) xid: Option<i64>,
}

impl Written {
    pub(super) fn add(&mut self, part: Self) {
        self.report.add(&part.report);
        self.set_aside.extend(part.set_aside);
        self.plans += part.plans;
        self.xid = self.xid.or(part.xid);
    }
}

/// Writes and settles events (ascending) under the claim's token, in a transaction of their own. An
/// error leaves everything as it was; so does a claim that is no longer ours, event by event.
pub(super) async fn write(
    session: &mut Session,
    settings: &Settings,
    token: i64,
    events: &[&ClaimedEvent],
    in_doubt: &mut Option<Written>,
    holders: &mut Holders<'_>,
) -> Result<Written, sqlx::Error> {
    let mut transaction = session.begin_indexed(Access::ReadWrite).await?;
    let alone = events.len() == 1;
    let prepared = prepare(&mut transaction, settings, token, events, alone).await?;
    let writing = write_part(&mut transaction, settings, &prepared, events, 0);
    let mut written = holders.during(prepared.xid(), writing).await?;
    written.report.batches = 1;
    commit(transaction, written, in_doubt).await
}

/// Commits. What was written is in doubt where no answer comes, until the server is asked.
pub(super) async fn commit(
    transaction: Transaction<'_>,
    written: Written,
    in_doubt: &mut Option<Written>,
) -> Result<Written, sqlx::Error> {
    match transaction.commit().await {
        Ok(()) => Ok(written),
        Err(error) => {
            *in_doubt = (ErrorClass::of(&error) == ErrorClass::Unreachable).then_some(written);
            Err(error)
        }
    }
}

/// What events are written with.
pub(super) struct Prepared {
    held: Vec<Held>,
    names: Names,
    large: LargeAudiences,
    alone: bool,
}

impl Prepared {
    fn held(&self, event: &ClaimedEvent) -> Option<&Held> {
        let place = self
            .held
            .binary_search_by_key(&event.event_id, |held| held.event_id);
        place.ok().map(|place| &self.held[place])
    }

    fn xid(&self) -> Option<i64> {
        self.held.first().map(|held| held.xid)
    }

    /// What an event's handler plans, but for large audiences; nothing if it is not ours to settle.
    pub(super) fn plans<'a>(&self, event: &'a ClaimedEvent) -> Vec<(&'a ClaimedEvent, Plan)> {
        let mut plans = plans(event, &self.names);
        plans.retain(|(_, plan)| self.held(event).is_some() && !self.large.contain(plan));
        plans
    }
}

/// Proves the claim of events (ascending), and reads what their handlers ask for.
///
/// Names are read here and not with the claim: a row that can't be read fails the events that ask for
/// it, and is isolated like any other refusal.
pub(super) async fn prepare(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    token: i64,
    events: &[&ClaimedEvent],
    alone: bool,
) -> Result<Prepared, sqlx::Error> {
    let ids: Vec<i64> = events.iter().map(|event| event.event_id).collect();
    let held = sqlx::query_file_as!(Held, "src/fan_out/fence.sql", &ids, token)
        .fetch_all(Unnamed(transaction))
        .await?;
    let mut prepared = Prepared {
        held,
        names: Names::default(),
        large: LargeAudiences::default(),
        alone,
    };
    let mut mine = events.to_vec();
    mine.retain(|event| prepared.held(event).is_some());
    prepared.names = look_up(transaction, &lookups(&mine), &settings.rendering).await?;
    if !alone {
        let plans = mine.iter().flat_map(|event| plans(event, &prepared.names));
        let plans: Vec<_> = plans.map(|(_, plan)| plan).collect();
        prepared.large = LargeAudiences::among(transaction, plans.iter()).await?;
    }
    Ok(prepared)
}

/// Writes and settles some of the events that were prepared, within a transaction in which so many plans
/// are written already.
pub(super) async fn write_part(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    prepared: &Prepared,
    events: &[&ClaimedEvent],
    plans_before: usize,
) -> Result<Written, sqlx::Error> {
    let names = &prepared.names;
    let mut mine = events.to_vec();
    mine.retain(|event| prepared.held(event).is_some());
    let mut report = FanOutReport {
        lost_claims: (events.len() - mine.len()) as u64,
        ..FanOutReport::default()
    };
    let mut open: Vec<i64> = mine.iter().map(|event| event.event_id).collect();
    let mut plans: Vec<_> = mine.iter().flat_map(|event| plans(event, names)).collect();
    let mut announced: Vec<_> = mine
        .iter()
        .filter_map(|event| announced(event, names))
        .collect();
    let (mut set_aside, mut cuts) = (Vec::new(), Vec::new());
    if prepared.alone {
        let plans = plans.iter().map(|(_, plan)| plan);
        cuts = large_audience::cuts(transaction, plans).await?;
    } else {
        let large = plans
            .iter()
            .filter(|(_, plan)| prepared.large.contain(plan));
        set_aside = large.map(|(event, _)| event.event_id).collect();
        set_aside.dedup();
        let stays = |event_id: i64| set_aside.binary_search(&event_id).is_err();
        open.retain(|&event_id| stays(event_id));
        plans.retain(|(event, _)| stays(event.event_id));
        announced.retain(|announced| stays(announced.event_id));
    }
    let (coalesced, mut each): (Vec<_>, Vec<_>) = plans
        .iter()
        .map(|(event, plan)| PlanRow::new(0, event.event_id, event.event_type, plan))
        .partition(PlanRow::is_coalesced);
    let mut coalesced = coalesce_fresh(coalesced, &prepared.held);
    number(plans_before, &mut each, &mut coalesced);
    let count = each.len() + coalesced.len();
    let invalid: Vec<_> = mine.iter().filter_map(|event| invalid(event)).collect();

    // All but the last part settle nothing: it is one transaction.
    let mut after = None;
    for until in cuts.into_iter().map(Some).chain([None]) {
        let part = Part { after, until };
        let (settled, failed) = match until {
            Some(_) => (&[][..], &[][..]),
            None => (&open[..], &invalid[..]),
        };
        let write_each = bind_plans(sqlx::query_as(WRITE_EACH), &each, part, settings)
            .bind(settled)
            .bind(Json(failed));
        let written: Each = write_each.fetch_one(Unnamed(transaction)).await?;
        debug_assert_eq!(written.settled.unsigned_abs(), settled.len() as u64);
        report.notifications += written.notifications.unsigned_abs();
        report.emails += written.emails.unsigned_abs();
        report.suppressed += written.suppressed.unsigned_abs();
        let announced = if until.is_none() { &announced[..] } else { &[] };
        for some in announced.chunks(ANNOUNCED_AT_ONCE) {
            let route = bind_announcements(sqlx::query_as(WRITE_ROUTED), some, &settings.routes);
            let routed: Routed = route.fetch_one(Unnamed(transaction)).await?;
            report.deliveries += routed.deliveries.unsigned_abs();
            report.suppressed += routed.duplicates.unsigned_abs();
        }
        if !coalesced.is_empty() {
            let merge = bind_plans(sqlx::query_as(WRITE_COALESCED), &coalesced, part, settings);
            let merging: Coalesced = merge.fetch_one(Unnamed(transaction)).await?;
            report.notifications += merging.notifications.unsigned_abs();
            report.merged += (merging.delivered - merging.notifications).unsigned_abs();
            report.suppressed += merging.suppressed.unsigned_abs();
        }
        after = until;
    }

    for event in mine {
        if let (Some(held), Ok(_)) = (prepared.held(event), open.binary_search(&event.event_id)) {
            count_settled(event, held.latency, &mut report);
        }
    }
    Ok(Written {
        report,
        set_aside,
        plans: count,
        xid: prepared.xid(),
    })
}

/// Coalesces the plans of fresh events per key.
fn coalesce_fresh<'a>(rows: Vec<PlanRow<'a>>, held: &[Held]) -> Vec<PlanRow<'a>> {
    let is_fresh = |event_id| {
        held.binary_search_by_key(&event_id, |held| held.event_id)
            .is_ok_and(|place| held[place].is_fresh)
    };
    let (fresh, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| is_fresh(row.event_id));
    coalesce(fresh, others)
}

/// Numbers all plans of a batch in the order of their events: notifications are created in it.
fn number<'a>(first: usize, each: &mut [PlanRow<'a>], coalesced: &mut [PlanRow<'a>]) {
    let mut rows: Vec<_> = each.iter_mut().chain(coalesced).collect();
    rows.sort_by_key(|row| row.event_id);
    for (plan_no, row) in rows.into_iter().enumerate() {
        row.plan_no = first + plan_no;
    }
}

/// Counts and logs an event that is settled for good.
fn count_settled(event: &ClaimedEvent, latency: Option<f64>, report: &mut FanOutReport) {
    let (event_id, event_type) = (event.event_id, event.event_type.name());
    match &event.handler {
        Ok(_) => {
            report.events += 1;
            if let Some(seconds) = latency {
                report.latencies.observe(seconds);
            }
            tracing::debug!(event_id, event_type, "completed");
        }
        Err(invalid) => {
            report.failed += 1;
            tracing::warn!(event_id, event_type, attempt = event.attempt, "{invalid}");
        }
    }
}

fn lookups(events: &[&ClaimedEvent]) -> Lookups {
    let mut lookups = Lookups::default();
    for handler in events
        .iter()
        .filter_map(|event| event.handler.as_ref().ok())
    {
        handler.lookups(&mut lookups);
    }
    lookups
}

/// What an event's handler plans. Coalescing plans are written apart: one that also mails becomes
/// two.
fn plans<'a>(event: &'a ClaimedEvent, names: &Names) -> Vec<(&'a ClaimedEvent, Plan)> {
    let Ok(handler) = &event.handler else {
        return Vec::new();
    };
    let mut split = Vec::new();
    for plan in handler.plan(names) {
        if matches!(plan.in_app, InApp::Coalesced { .. }) && plan.email.is_some() {
            let mailed = Plan {
                in_app: InApp::None,
                ..plan.clone()
            };
            split.push((event, mailed));
            split.push((
                event,
                Plan {
                    email: None,
                    ..plan
                },
            ));
        } else {
            split.push((event, plan));
        }
    }
    split
}

fn announced(event: &ClaimedEvent, names: &Names) -> Option<Announced> {
    let handler = event.handler.as_ref().ok()?;
    Some(Announced {
        event_id: event.event_id,
        event_type: event.event_type,
        occurred_at: event.occurred_at,
        announcement: handler.announce(names)?,
    })
}

fn invalid(event: &ClaimedEvent) -> Option<Invalid> {
    let invalid = event.handler.as_ref().err()?;
    Some(Invalid {
        event_id: event.event_id,
        error: invalid.to_string(),
    })
}
