//! Writing what is planned and settling the events, in one fenced transaction.

use uuid::Uuid;

use super::FanOutSettings;
use super::coalesce::coalesce;
use super::decode::DecodedEvent;
use super::holders::Holders;
use super::large_audience::{cuts, large_events};
use super::names::look_up;
use super::plan::{Planned, Plans};
use super::report::FanOutReport;
use super::resolve::{Part, bind_plans, column, with_resolve};
use super::routed::{Announced, bind_announcements, with_routed};
use crate::db::{Transaction, Unnamed};

const WRITE_EACH: &str = with_resolve!("write_each.sql");
const WRITE_COALESCED: &str = with_resolve!("write_coalesced.sql");
const WRITE_ROUTED: &str = with_routed!("write_routed.sql");

/// Announcements written by one statement. Each one is compared with those before it, so the cost
/// grows with the square.
const ANNOUNCED_AT_ONCE: usize = 500;

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

/// Writes and settles events (ascending) under the claim's token. An error leaves everything as it
/// was; so does a claim that is no longer ours, event by event.
pub(super) async fn write(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    token: i64,
    events: &[&DecodedEvent],
    holders: &mut Holders,
) -> Result<Written, sqlx::Error> {
    let batch = prepare(transaction, settings, token, events, events.len() == 1).await?;
    let xid = batch.xid;
    let writing = insert(transaction, settings, batch, 0);
    let mut written = holders.during(xid, writing).await?;
    written.report.batches = 1;
    Ok(written)
}

/// Events whose claims are proven, and what is to be written for them.
pub(super) struct Prepared<'e> {
    /// Those that are ours to settle, ascending.
    held: Vec<Held<'e>>,
    /// Those whose claims were reset.
    lost: Vec<i64>,
    set_aside: Vec<i64>,
    pub(super) plans: Plans,
    /// Where to cut the audiences into parts.
    cuts: Vec<Uuid>,
    /// The transaction that proved the claims.
    xid: Option<i64>,
}

/// An event whose claim is still ours.
struct Held<'e> {
    event: &'e DecodedEvent,
    /// Seconds since it occurred.
    latency: Option<f64>,
    /// Whether nobody was notified of it before.
    is_fresh: bool,
}

impl Prepared<'_> {
    /// Leaves out the other events.
    pub(super) fn retain(&mut self, is_kept: impl Fn(i64) -> bool) {
        self.held.retain(|held| is_kept(held.event.event_id));
        self.lost.retain(|event_id| is_kept(*event_id));
        self.set_aside.retain(|event_id| is_kept(*event_id));
        self.plans.retain(is_kept);
    }
}

/// Proves the claim of events (ascending), and plans them. A large audience is set aside, unless its
/// event is alone.
///
/// Names are read here and not with the claim: a row that can't be read fails the events that ask for
/// it, and is isolated like any other refusal.
pub(super) async fn prepare<'e>(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    token: i64,
    events: &[&'e DecodedEvent],
    is_alone: bool,
) -> Result<Prepared<'e>, sqlx::Error> {
    let mut batch = fence(transaction, token, events).await?;
    let mine = || batch.held.iter().map(|held| held.event);
    let names = look_up(transaction, mine(), &settings.rendering).await?;
    batch.plans = Plans::of(mine(), &names).split_coalesced();
    if is_alone {
        batch.cuts = cuts(transaction, &batch.plans.planned).await?;
    } else {
        let large = large_events(transaction, &batch.plans.planned).await?;
        batch.retain(|event_id| large.binary_search(&event_id).is_err());
        batch.set_aside = large;
    }
    Ok(batch)
}

/// Proves the claim.
async fn fence<'e>(
    transaction: &mut Transaction<'_>,
    token: i64,
    events: &[&'e DecodedEvent],
) -> Result<Prepared<'e>, sqlx::Error> {
    let ids: Vec<i64> = events.iter().map(|event| event.event_id).collect();
    let rows = sqlx::query_file!("src/fan_out/fence.sql", &ids, token)
        .fetch_all(Unnamed(transaction))
        .await?;
    let mut batch = Prepared {
        held: Vec::with_capacity(rows.len()),
        lost: ids,
        set_aside: Vec::new(),
        plans: Plans::default(),
        cuts: Vec::new(),
        xid: rows.first().map(|row| row.xid),
    };
    for row in rows {
        if let Ok(place) = events.binary_search_by_key(&row.event_id, |event| event.event_id) {
            batch.held.push(Held {
                event: events[place],
                latency: row.latency,
                is_fresh: row.is_fresh,
            });
        }
    }
    let held = &batch.held;
    let is_lost = |id: &i64| {
        held.binary_search_by_key(id, |held| held.event.event_id)
            .is_err()
    };
    batch.lost.retain(is_lost);
    Ok(batch)
}

/// Writes and settles what was prepared, within a transaction in which `plans_before` plans are written
/// already.
pub(super) async fn insert(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    batch: Prepared<'_>,
    plans_before: usize,
) -> Result<Written, sqlx::Error> {
    let mut report = FanOutReport {
        lost_claims: batch.lost.len() as u64,
        ..FanOutReport::default()
    };
    let Plans { planned, announced } = batch.plans;
    let (coalesced, mut each) = planned.into_iter().partition(Planned::is_coalesced);
    let mut coalesced = coalesce_fresh(coalesced, &batch.held);
    number(plans_before, &mut each, &mut coalesced);

    let mut after = None;
    for until in batch.cuts.into_iter().map(Some).chain([None]) {
        let part = Part { after, until };
        // All but the last part settle nothing: it is one transaction.
        let settled = if until.is_none() {
            &batch.held[..]
        } else {
            &[]
        };
        write_each(transaction, settings, &each, part, settled, &mut report).await?;
        if until.is_none() {
            write_routed(transaction, settings, &announced, &mut report).await?;
        }
        write_coalesced(transaction, settings, &coalesced, part, &mut report).await?;
        after = until;
    }
    for held in &batch.held {
        count_settled(held, &mut report);
    }
    Ok(Written {
        report,
        set_aside: batch.set_aside,
        plans: each.len() + coalesced.len(),
        xid: batch.xid,
    })
}

/// What a statement wrote. A column that it lacks counts nothing.
#[derive(Debug, Default, sqlx::FromRow)]
#[sqlx(default)]
struct Counts {
    notifications: i64,
    merged: i64,
    emails: i64,
    deliveries: i64,
    suppressed: i64,
    settled: i64,
}

impl FanOutReport {
    fn count(&mut self, counts: &Counts) {
        self.notifications += counts.notifications.unsigned_abs();
        self.merged += counts.merged.unsigned_abs();
        self.emails += counts.emails.unsigned_abs();
        self.deliveries += counts.deliveries.unsigned_abs();
        self.suppressed += counts.suppressed.unsigned_abs();
    }
}

/// Writes the plans that are not coalesced, and settles events.
async fn write_each(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    plans: &[Planned],
    part: Part,
    settled: &[Held<'_>],
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    let invalid = |held: &Held<'_>| held.event.handler.as_ref().err().map(ToString::to_string);
    let query = bind_plans(sqlx::query_as(WRITE_EACH), plans, part, settings, false);
    let counts: Counts = query
        .bind(column(settled, |held| held.event.event_id))
        .bind(column(settled, invalid))
        .fetch_one(Unnamed(transaction))
        .await?;
    if counts.settled.unsigned_abs() != settled.len() as u64 {
        // The fence holds these rows: only a trigger on notification_processing can have skipped one.
        let (settled, held) = (counts.settled, settled.len());
        let error = format!("settled {settled} of {held} events in notification_processing");
        return Err(sqlx::Error::InvalidArgument(error));
    }
    report.count(&counts);
    Ok(())
}

/// Queues deliveries to endpoints.
async fn write_routed(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    announced: &[Announced],
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    for some in announced.chunks(ANNOUNCED_AT_ONCE) {
        let query = bind_announcements(sqlx::query_as(WRITE_ROUTED), some, &settings.routes);
        report.count(&query.fetch_one(Unnamed(transaction)).await?);
    }
    Ok(())
}

async fn write_coalesced(
    transaction: &mut Transaction<'_>,
    settings: &FanOutSettings,
    plans: &[Planned],
    part: Part,
    report: &mut FanOutReport,
) -> Result<(), sqlx::Error> {
    if !plans.is_empty() {
        let query = bind_plans(
            sqlx::query_as(WRITE_COALESCED),
            plans,
            part,
            settings,
            false,
        );
        report.count(&query.fetch_one(Unnamed(transaction)).await?);
    }
    Ok(())
}

/// Coalesces the plans of fresh events per key.
fn coalesce_fresh(plans: Vec<Planned>, held: &[Held<'_>]) -> Vec<Planned> {
    let is_fresh = |planned: &Planned| {
        held.binary_search_by_key(&planned.event_id, |held| held.event.event_id)
            .is_ok_and(|place| held[place].is_fresh)
    };
    let (fresh, others) = plans.into_iter().partition(is_fresh);
    coalesce(fresh, others)
}

/// Numbers all plans of a batch in the order of their events: notifications are created in it.
fn number(first: usize, each: &mut [Planned], coalesced: &mut [Planned]) {
    let mut plans: Vec<_> = each.iter_mut().chain(coalesced).collect();
    plans.sort_by_key(|planned| planned.event_id);
    for (place, planned) in plans.into_iter().enumerate() {
        planned.plan_no = first + place;
    }
}

/// Counts and logs an event that is settled for good.
fn count_settled(held: &Held<'_>, report: &mut FanOutReport) {
    let event = held.event;
    let (event_id, event_type) = (event.event_id, event.event_type.name());
    match &event.handler {
        Ok(_) => {
            report.events += 1;
            if let Some(seconds) = held.latency {
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
