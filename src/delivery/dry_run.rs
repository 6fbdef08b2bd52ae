//! Dry run: reads, checks and renders what is due like a run, in a transaction that cannot write, and
//! sends nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::lease::{Capabilities, channels};
use super::leased::Leased;
use super::load::{load, mails};
use super::people::People;
use super::retry_policy::{Decision, Next};
use super::sender::{EXPIRED, Rendered, Sender};
use super::{DeliverySettings, EMAIL};
use crate::channels::{Channel, no_transport};
use crate::db::{Access, Database, Transaction, Unnamed};

/// Messages shown, unless there is a limit.
const MOST: u64 = 10_000;
/// Messages read at once.
const PAGE: usize = 200;

/// What a run would do with a message, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRunOutcome {
    Send {
        /// The target, redacted.
        to: String,
        /// Its subject or title.
        title: String,
    },
    Cancel(String),
    Die(String),
    Wait(String),
}

/// A due message.
#[derive(Debug, Clone)]
pub struct DryRunDelivery {
    /// `None`: it is an e-mail without one.
    pub delivery_id: Option<i64>,
    pub channel: Channel,
    pub event_type: String,
    /// `user:ID`, `endpoint:ID` or a route of the environment.
    pub recipient: String,
    pub outcome: DryRunOutcome,
}

/// A due message, with its outcome if that is decided already.
struct Due {
    /// Without a delivery its id is negative.
    leased: Leased,
    mail_ids: Vec<i64>,
    known: Option<DryRunOutcome>,
}

/// Passes each due message to `listener`; changes nothing.
pub async fn dry_run(
    database: &Database,
    sender: &Sender,
    settings: &DeliverySettings,
    listener: &mut dyn FnMut(DryRunDelivery),
) -> Result<(), sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let people = People::known(&mut transaction).await?;
    let most = settings.limit.unwrap_or(MOST).min(MOST);
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let capabilities = sender.capabilities();
    let mut due = queued(&mut transaction, &capabilities, limit).await?;
    due.extend(waiting(&mut transaction, settings, limit).await?);
    for one in &mut due {
        if one.leased.is_expired(settings.max_age) {
            // As rendering says.
            one.known = None;
        } else if capabilities.unavailable.contains(&one.leased.target) {
            one.known = Some(DryRunOutcome::Wait(no_transport(one.leased.channel)));
        }
    }
    due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    while !due.is_empty() {
        let page: Vec<Due> = due.drain(..due.len().min(PAGE)).collect();
        let leased: Vec<Leased> = page.iter().map(|one| one.leased.clone()).collect();
        let mut loaded = load(&mut transaction, settings, &people, &leased).await?;
        let ids: Vec<i64> = page.iter().flat_map(|one| one.mail_ids.clone()).collect();
        let read = mails(&mut transaction, settings, &[], &ids).await?;
        let mut by_id: HashMap<i64, _> = read.into_iter().map(|mail| (mail.id, mail)).collect();
        for one in page {
            let ids = one.mail_ids.iter();
            let mine: Vec<_> = ids.filter_map(|id| by_id.remove(id)).collect();
            if !mine.is_empty() {
                loaded.mails.insert(one.leased.id, mine);
            }
            let render = || outcome(sender.render(&one.leased, &loaded, settings.max_age));
            let outcome = one.known.unwrap_or_else(render);
            listener(DryRunDelivery {
                delivery_id: (one.leased.id > 0).then_some(one.leased.id),
                channel: one.leased.channel,
                event_type: one.leased.event_type,
                recipient: one.leased.recipient,
                outcome,
            });
        }
    }
    transaction.rollback().await?;
    session.close().await
}

fn outcome(rendered: Result<Rendered, Decision>) -> DryRunOutcome {
    match rendered {
        Ok(Rendered::Email { to, message }) => DryRunOutcome::Send {
            to: format!("{to:?}"),
            title: message.subject.clone(),
        },
        Ok(Rendered::ForEndpoint {
            destination,
            message,
            ..
        }) => DryRunOutcome::Send {
            to: destination.to_string(),
            title: message.title,
        },
        Err(decision) => {
            let reason = decision.reason.unwrap_or_default();
            match decision.next {
                Next::Dead => DryRunOutcome::Die(reason),
                Next::Retry { .. } => DryRunOutcome::Wait(reason),
                _ => DryRunOutcome::Cancel(reason),
            }
        }
    }
}

/// Due deliveries.
async fn queued(
    connection: &mut Transaction<'_>,
    capabilities: &Capabilities,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let paused = sqlx::query_file!(
        "src/delivery/paused.sql",
        &capabilities.unavailable,
        i64::MAX
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let paused: HashMap<String, _> = paused
        .into_iter()
        .map(|row| (row.target, (row.name, row.seconds)))
        .collect();
    let rows = sqlx::query_file_as!(Leased, "src/delivery/due.sql", limit, &channels())
        .fetch_all(Unnamed(connection))
        .await?;
    let due = rows.into_iter().map(|leased| Due {
        known: paused.get(&leased.target).map(|(name, seconds)| {
            let pause = Duration::from_secs_f64(seconds.max(0.0).ceil());
            let pause = humantime::format_duration(pause);
            DryRunOutcome::Wait(format!("{name} is paused for another {pause}"))
        }),
        leased,
        mail_ids: Vec::new(),
    });
    Ok(due.collect())
}

/// E-mails without a delivery: one by one, those of a digest together.
async fn waiting(
    connection: &mut Transaction<'_>,
    settings: &DeliverySettings,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/delivery/due_emails.sql",
        limit,
        settings.digest_every.as_secs_f64(),
        settings.max_age.as_secs_f64(),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut due: Vec<Due> = Vec::new();
    // Dedup keys that earlier e-mails would take.
    let mut taken: HashSet<String> = HashSet::new();
    for row in rows {
        let known = if row.is_late {
            Some(DryRunOutcome::Die(EXPIRED.to_owned()))
        } else if row.is_repeated || row.dedup_keys.iter().any(|key| taken.contains(key)) {
            let reason = "duplicate: the recipient has already received the same message";
            Some(DryRunOutcome::Cancel(reason.to_owned()))
        } else {
            taken.extend(row.dedup_keys);
            None
        };
        due.push(Due {
            leased: Leased {
                id: -1 - i64::try_from(due.len()).unwrap_or(i64::MAX - 1),
                key: Uuid::nil(),
                token: 0,
                channel: Channel::Email,
                target: EMAIL.to_owned(),
                recipient: format!("user:{}", row.user_id),
                user_id: Some(row.user_id),
                endpoint_id: None,
                event_type: row.event_type,
                message: String::new(),
                occurred_at: row.now,
                attempts: 0,
                queued_at: row.now,
                tried_since: None,
                failures: 0,
                now: row.now,
                xid: 0,
            },
            mail_ids: row.ids,
            known,
        });
    }
    Ok(due)
}
