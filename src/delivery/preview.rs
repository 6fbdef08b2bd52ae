//! A dry run: the same reading, the same checks and the same words, in a transaction that cannot
//! write; and nothing is sent.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::decide::{Decision, Next};
use super::lease::{EXPIRED, Leased, expired};
use super::load::{load, mails};
use super::people::People;
use super::post::{Parcel, Post};
use super::{DIGEST, EMAIL, Settings};
use crate::channels::{Channel, no_transport};
use crate::db::{Access, Database, Transaction, Unnamed};

/// Messages looked at, unless there is a limit.
const MOST: u64 = 10_000;
/// Messages read at once.
const PAGE: usize = 200;

/// What would become of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It would be sent.
    Send {
        /// Where to, masked.
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

/// A message that is due.
#[derive(Debug, Clone)]
pub struct Previewed {
    /// Its delivery, if it has one already.
    pub delivery_id: Option<i64>,
    /// Its channel.
    pub channel: Channel,
    /// Its type; `digest` for a digest.
    pub event_type: String,
    /// Whom it is for: `user:ID`, `endpoint:ID` or a route of the environment.
    pub recipient: String,
    /// What would become of it.
    pub verdict: Verdict,
}

/// Who hears what a dry run finds.
pub trait Audit {
    /// A message that is due.
    fn message(&mut self, message: &Previewed);
}

/// A message with what is known of it already.
struct Due {
    leased: Leased,
    has_delivery: bool,
    mail_ids: Vec<i64>,
    known: Option<Verdict>,
}

/// Tells what a run would do, and does nothing.
pub async fn preview(
    database: &Database,
    post: &Post,
    settings: &Settings,
    audit: &mut dyn Audit,
) -> Result<(), sqlx::Error> {
    let mut session = database.connect().await?;
    let mut transaction = session.begin_indexed(Access::ReadOnly).await?;
    let people = People::known(&mut transaction).await?;
    let most = settings.limit.unwrap_or(MOST).min(MOST);
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let reach = post.reach();
    let mut due = queued(&mut transaction, limit).await?;
    due.extend(waiting(&mut transaction, settings, limit).await?);
    for one in &mut due {
        if let Some(expired) = expired(&one.leased, settings.max_age) {
            one.known = Some(not_sent(expired));
        } else if reach.closed.contains(&one.leased.target) {
            one.known = Some(no_way(one.leased.kind));
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
            let verdict = one
                .known
                .unwrap_or_else(|| match post.pack(&one.leased, &loaded) {
                    Ok(parcel) => send(&parcel),
                    Err(decision) => not_sent(decision),
                });
            audit.message(&Previewed {
                delivery_id: one.has_delivery.then_some(one.leased.id),
                channel: one.leased.kind,
                event_type: one.leased.event_type,
                recipient: one.leased.recipient,
                verdict,
            });
        }
    }
    transaction.rollback().await?;
    session.close().await
}

fn not_sent(decision: Decision) -> Verdict {
    let reason = decision.reason.unwrap_or_default();
    match decision.next {
        Next::Dead => Verdict::Die(reason),
        Next::Retry { .. } => Verdict::Wait(reason),
        _ => Verdict::Cancel(reason),
    }
}

fn no_way(channel: Channel) -> Verdict {
    Verdict::Wait(no_transport(channel))
}

fn send(parcel: &Parcel) -> Verdict {
    match parcel {
        Parcel::Mail { to, message } => Verdict::Send {
            to: format!("{to:?}"),
            title: message.subject.clone(),
        },
        Parcel::Told {
            destination, told, ..
        } => Verdict::Send {
            to: destination.to_string(),
            title: told.title.clone(),
        },
    }
}

/// Deliveries that are due.
async fn queued(connection: &mut Transaction<'_>, limit: i64) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!("src/delivery/peek.sql", limit)
        .fetch_all(Unnamed(connection))
        .await?;
    let due = rows.into_iter().filter_map(|row| {
        let known = row.paused.map(|seconds| {
            let pause = Duration::from_secs_f64(seconds.max(0.0).ceil());
            Verdict::Wait(format!(
                "{} is paused for another {}",
                row.name,
                humantime::format_duration(pause)
            ))
        });
        Some(Due {
            leased: Leased {
                kind: row.channel.parse().ok()?,
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
                // As if it had been leased.
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

/// Mails that no delivery carries yet: each by itself, those of a digest together.
async fn waiting(
    connection: &mut Transaction<'_>,
    settings: &Settings,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query_file!(
        "src/delivery/peek_mails.sql",
        limit,
        settings.digest_every.as_secs_f64(),
        settings.max_age.as_secs_f64(),
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut due: Vec<Due> = Vec::new();
    let mut digests: HashMap<(Uuid, bool), usize> = HashMap::new();
    // Guards that those before would take.
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
            Some(Verdict::Die(EXPIRED.to_owned()))
        } else if row.is_repeated || row.guards.iter().any(|guard| taken.contains(guard)) {
            Some(Verdict::Cancel(
                "duplicate: the person was told the same before".to_owned(),
            ))
        } else {
            taken.extend(row.guards);
            None
        };
        due.push(Due {
            leased: Leased {
                // No delivery has a negative number.
                id: -1 - i64::try_from(due.len()).unwrap_or(i64::MAX - 1),
                key: Uuid::nil(),
                token: 0,
                kind: Channel::Email,
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
