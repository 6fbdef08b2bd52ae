//! Writing what is planned and settling the events, in one fenced transaction.

use serde::Serialize;
use sqlx::types::Json;

use super::Settings;
use super::coalesce::coalesce;
use super::decode::DecodedEvent;
use super::holders::Holders;
use super::large_audience::{self, LargeAudiences};
use super::names::look_up;
use super::plan::Plans;
use super::report::FanOutReport;
use super::resolve::{Part, PlanRow, bind_plans, with_resolve};
use super::routed::{Announced, bind_announcements, with_routed};
use crate::db::{Access, ErrorClass, Session, Transaction, Unnamed};
use crate::handlers::Names;

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
    events: &[&DecodedEvent],
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
    /// None, if the event is alone.
    large: LargeAudiences,
    alone: bool,
}

impl Prepared {
    fn held(&self, event: &DecodedEvent) -> Option<&Held> {
        let place = self
            .held
            .binary_search_by_key(&event.event_id, |held| held.event_id);
        place.ok().map(|place| &self.held[place])
    }

    /// Those of the events that are ours to settle.
    fn mine<'e>(&self, events: &[&'e DecodedEvent]) -> Vec<&'e DecodedEvent> {
        let mut mine = events.to_vec();
        mine.retain(|event| self.held(event).is_some());
        mine
    }

    fn xid(&self) -> Option<i64> {
        self.held.first().map(|held| held.xid)
    }

    /// What the handlers of the events plan, and the events with a large audience, whose plans and
    /// announcements are left out.
    fn plan<'e>(&self, mine: &[&'e DecodedEvent]) -> (Plans<'e>, Vec<i64>) {
        let mut plans = Plans::of(mine.iter().copied(), &self.names).split_coalesced();
        let large = plans.plans.iter();
        let large = large.filter(|(_, plan)| self.large.contain(plan));
        let mut set_aside: Vec<i64> = large.map(|(event, _)| event.event_id).collect();
        set_aside.dedup();
        let stays = |event_id: i64| set_aside.binary_search(&event_id).is_err();
        plans.plans.retain(|(event, _)| stays(event.event_id));
        plans
            .announced
            .retain(|announced| stays(announced.event_id));
        (plans, set_aside)
    }

    /// What the handlers of the events plan, without large audiences and events of others.
    pub(super) fn plans<'e>(&self, events: &[&'e DecodedEvent]) -> Plans<'e> {
        self.plan(&self.mine(events)).0
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
    events: &[&DecodedEvent],
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
    let mine = prepared.mine(events);
    prepared.names = look_up(transaction, mine.iter().copied(), &settings.rendering).await?;
    if !alone {
        let plans = Plans::of(mine, &prepared.names).plans;
        let plans = plans.iter().map(|(_, plan)| plan);
        prepared.large = LargeAudiences::among(transaction, plans).await?;
    }
    Ok(prepared)
}

/// Writes and settles some of the events that were prepared, within a transaction in which so many plans
/// are written already.
pub(super) async fn write_part(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    prepared: &Prepared,
    events: &[&DecodedEvent],
    plans_before: usize,
) -> Result<Written, sqlx::Error> {
    let mut mine = prepared.mine(events);
    let mut report = FanOutReport {
        lost_claims: (events.len() - mine.len()) as u64,
        ..FanOutReport::default()
    };
    let (plans, set_aside) = prepared.plan(&mine);
    mine.retain(|event| set_aside.binary_search(&event.event_id).is_err());
    let cuts = if prepared.alone {
        let audiences = plans.plans.iter().map(|(_, plan)| plan);
        large_audience::cuts(transaction, audiences).await?
    } else {
        Vec::new()
    };
    let rows = Plans::rows(&plans.plans).into_iter();
    let (coalesced, mut each): (Vec<_>, Vec<_>) = rows.partition(PlanRow::is_coalesced);
    let mut coalesced = coalesce_fresh(coalesced, &prepared.held);
    number(plans_before, &mut each, &mut coalesced);

    let mut after = None;
    for until in cuts.into_iter().map(Some).chain([None]) {
        let part = Part { after, until };
        // All but the last part settle nothing: it is one transaction.
        let settled = if until.is_none() { &mine[..] } else { &[] };
        write_each(transaction, settings, &each, part, settled, &mut report).await?;
        if until.is_none() {
            write_routed(transaction, settings, &plans.announced, &mut report).await?;
        }
        write_coalesced(transaction, settings, &coalesced, part, &mut report).await?;
        after = until;
    }
    for event in mine {
        let latency = prepared.held(event).and_then(|held| held.latency);
        count_settled(event, latency, &mut report);
    }
    Ok(Written {
        report,
        set_aside,
        plans: each.len() + coalesced.len(),
        xid: prepared.xid(),
    })
}

/// Writes the plans that are not coalesced, and settles events.
async fn write_each(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    plans: &[PlanRow<'_>],
    part: Part,
    settled: &[&DecodedEvent],
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = settled.iter().map(|event| event.event_id).collect();
    let invalid: Vec<_> = settled.iter().filter_map(|event| invalid(event)).collect();
    let written: Each = bind_plans(sqlx::query_as(WRITE_EACH), plans, part, settings)
        .bind(&ids)
        .bind(Json(&invalid))
        .fetch_one(Unnamed(transaction))
        .await?;
    if written.settled.unsigned_abs() != ids.len() as u64 {
        // The fence holds these rows: only a trigger on notification_processing can have skipped one.
        let (settled, held) = (written.settled, ids.len());
        let error = format!("settled {settled} of {held} events in notification_processing");
        return Err(sqlx::Error::InvalidArgument(error));
    }
    report.notifications += written.notifications.unsigned_abs();
    report.emails += written.emails.unsigned_abs();
    report.suppressed += written.suppressed.unsigned_abs();
    Ok(())
}

/// Queues deliveries to endpoints.
async fn write_routed(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    announced: &[Announced],
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    for some in announced.chunks(ANNOUNCED_AT_ONCE) {
        let route = bind_announcements(sqlx::query_as(WRITE_ROUTED), some, &settings.routes);
        let routed: Routed = route.fetch_one(Unnamed(transaction)).await?;
        report.deliveries += routed.deliveries.unsigned_abs();
        report.suppressed += routed.duplicates.unsigned_abs();
    }
    Ok(())
}

async fn write_coalesced(
    transaction: &mut Transaction<'_>,
    settings: &Settings,
    plans: &[PlanRow<'_>],
    part: Part,
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    if plans.is_empty() {
        return Ok(());
    }
    let written: Coalesced = bind_plans(sqlx::query_as(WRITE_COALESCED), plans, part, settings)
        .fetch_one(Unnamed(transaction))
        .await?;
    report.notifications += written.notifications.unsigned_abs();
    report.merged += (written.delivered - written.notifications).unsigned_abs();
    report.suppressed += written.suppressed.unsigned_abs();
    Ok(())
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
fn count_settled(event: &DecodedEvent, latency: Option<f64>, report: &mut FanOutReport) {
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

fn invalid(event: &DecodedEvent) -> Option<Invalid> {
    let invalid = event.handler.as_ref().err()?;
    Some(Invalid {
        event_id: event.event_id,
        error: invalid.to_string(),
    })
}
