//! Dry run: reads, checks and renders what is due like a run, in a transaction that cannot write, and
//! sends nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::lease::{EXPIRED, Leased, expired};
use super::load::{load, mails};
use super::people::People;
use super::retry_policy::{Decision, Next};
use super::sender::{Rendered, Sender};
use super::{DIGEST, DeliverySettings, EMAIL};
use crate::channels::{Channel, no_transport};
use crate::db::{Access, Database, Transaction, Unnamed};

/// Messages shown, unless there is a limit.
const MOST: u64 = 10_000;
/// Messages read at once.
const PAGE: usize = 200;

/// What a run would do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DryRunOutcome {
    /// It would be sent.
    Send {
        /// The target, redacted.
        to: String,
        /// Its subject or title.
        title: String,
    },
    /// It would be cancelled, for this reason.
    Cancel(String),
    /// It would become a dead letter, for this reason.
    Die(String),
    /// It would wait, for this reason.
    Wait(String),
}

/// A due message.
#[derive(Debug, Clone)]
pub struct DryRunDelivery {
    /// Its delivery, if it has one already.
    pub delivery_id: Option<i64>,
    /// Its channel.
    pub channel: Channel,
    /// Its type; `digest` for a digest.
    pub event_type: String,
    /// `user:ID`, `endpoint:ID` or a route of the environment.
    pub recipient: String,
    /// What a run would do with it.
    pub outcome: DryRunOutcome,
}

/// Receives what a dry run finds.
pub trait DryRunListener {
    /// A due message.
    fn message(&mut self, message: &DryRunDelivery);
}

/// A due message, with its outcome if that is decided already.
struct Due {
    leased: Leased,
    has_delivery: bool,
    mail_ids: Vec<i64>,
    known: Option<DryRunOutcome>,
}

/// Passes each due message to `listener`; changes nothing.
pub async fn dry_run(
    database: &Database,
    sender: &Sender,
    settings: &DeliverySettings,
    listener: &mut dyn DryRunListener,
) -> Result<(), sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let people = People::known(&mut transaction).await?;
    let most = settings.limit.unwrap_or(MOST).min(MOST);
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let capabilities = sender.capabilities();
    let mut due = queued(&mut transaction, limit).await?;
    due.extend(waiting(&mut transaction, settings, limit).await?);
    for one in &mut due {
        if let Some(expired) = expired(&one.leased, settings.max_age) {
            one.known = Some(not_sent(expired));
        } else if capabilities.unavailable.contains(&one.leased.target) {
            one.known = Some(without_transport(one.leased.channel));
        }
    }
    due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    while !due.is_empty() {
        let page: Vec<Due> = due.drain(..due.len().min(PAGE)).collect();
        let leased: Vec<Leased> = page.iter().map(|one| one.leased.clone()).collect();
        let mut loaded = load(&mut transaction, settings, &people, &leased).await?;
        let ids: Vec<i64> = page.iter().flat_map(|one| one.mail_ids.clone()).collect();
        let mut by_id: HashMap<i64, _> = mails(&mut transaction, settings, &[], &ids)
            .await?
            .into_iter()
            .map(|mail| (mail.id, mail))
            .collect();
        for one in &page {
            let mine: Vec<_> = one
                .mail_ids
                .iter()
                .filter_map(|id| by_id.remove(id))
                .collect();
            if !mine.is_empty() {
                loaded.mails.insert(one.leased.id, mine);
            }
        }
        for one in page {
            let outcome = one
                .known
                .unwrap_or_else(|| match sender.render(&one.leased, &loaded) {
                    Ok(rendered) => send(&rendered),
                    Err(decision) => not_sent(decision),
                });
            listener.message(&DryRunDelivery {
                delivery_id: one.has_delivery.then_some(one.leased.id),
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

fn not_sent(decision: Decision) -> DryRunOutcome {
    let reason = decision.reason.unwrap_or_default();
    match decision.next {
        Next::Dead => DryRunOutcome::Die(reason),
        Next::Retry { .. } => DryRunOutcome::Wait(reason),
        _ => DryRunOutcome::Cancel(reason),
    }
}

fn without_transport(channel: Channel) -> DryRunOutcome {
    DryRunOutcome::Wait(no_transport(channel))
}

fn send(rendered: &Rendered) -> DryRunOutcome {
    match rendered {
        Rendered::Email { to, message } => DryRunOutcome::Send {
            to: format!("{to:?}"),
            title: message.subject.clone(),
        },
        Rendered::ForEndpoint {
            destination,
            message,
            ..
        } => DryRunOutcome::Send {
            to: destination.to_string(),
            title: message.title.clone(),
        },
    }
}

/// Due deliveries.
async fn queued(connection: &mut Transaction<'_>, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!("src/delivery/due.sql", limit)
        .fetch_all(Unnamed(connection))
        .await?;
    let due = rows.into_iter().filter_map(|row| {
        let known = row.paused.map(|seconds| {
            let pause = Duration::from_secs_f64(seconds.max(0.0).ceil());
            DryRunOutcome::Wait(format!(
                "{} is paused for another {}",
                row.name,
                humantime::format_duration(pause)
            ))
        });
        Some(Due {
            leased: Leased {
                channel: row.channel.parse().ok()?,
                id: row.id,
                key: row.key,
                token: 0,
                target: row.target,
                recipient: row.recipient,
                user_id: row.user_id,
                endpoint_id: row.endpoint_id,
                event_type: row.event_type,
                message: row.message,
                occurred_at: row.occurred_at,
                // As after a lease.
                attempts: row.attempts.unsigned_abs() + 1,
                age: (row.now - row.queued_at).to_std().unwrap_or_default(),
                tried_for: Duration::ZERO,
                failures: 0,
            },
            has_delivery: true,
            mail_ids: Vec::new(),
            known,
        })
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
    let mut digests: HashMap<(Uuid, bool), usize> = HashMap::new();
    // Dedup keys that earlier e-mails would take.
    let mut taken: HashSet<String> = HashSet::new();
    for row in rows {
        if row.is_digest
            && let Some(&place) = digests.get(&(row.user_id, row.is_late))
        {
            due[place].mail_ids.push(row.id);
            continue;
        }
        if row.is_digest {
            digests.insert((row.user_id, row.is_late), due.len());
        }
        let known = if row.is_late {
            Some(DryRunOutcome::Die(EXPIRED.to_owned()))
        } else if row.is_repeated || row.dedup_keys.iter().any(|key| taken.contains(key)) {
            Some(DryRunOutcome::Cancel(
                "duplicate: the person was message the same before".to_owned(),
            ))
        } else {
            taken.extend(row.dedup_keys);
            None
        };
        due.push(Due {
            leased: Leased {
                // No delivery has a negative id.
                id: -1 - i64::try_from(due.len()).unwrap_or(i64::MAX - 1),
                key: Uuid::nil(),
                token: 0,
                channel: Channel::Email,
                target: EMAIL.to_owned(),
                recipient: format!("user:{}", row.user_id),
                user_id: Some(row.user_id),
                endpoint_id: None,
                event_type: if row.is_digest {
                    DIGEST.to_owned()
                } else {
                    row.event_type
                },
                message: String::new(),
                occurred_at: row.created_at,
                attempts: 0,
                age: Duration::ZERO,
                tried_for: Duration::ZERO,
                failures: 0,
            },
            has_delivery: false,
            mail_ids: vec![row.id],
            known,
        });
    }
    Ok(due)
}
