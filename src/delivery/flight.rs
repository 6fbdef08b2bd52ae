//! What is on its way: begun when it was leased, and judged when it is done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};

use super::decide::{Attempted, Decision, Next, decide, outcome};
use super::lease::{Leased, Reach, expired};
use super::load::Loaded;
use super::mail::unwanted;
use super::post::Post;
use super::record::{Attempt, Finished};
use super::{Rules, Settings};
use crate::channels::{Receipt, SendError};

/// What is done within this time is recorded together. A transaction takes about as long, and one for
/// each message would be most of the work.
const TOGETHER: Duration = Duration::from_millis(3);

/// What came of an attempt; `None`: it was too late to begin one.
type Sent = Option<(Result<Receipt, SendError>, Duration)>;

struct OnItsWay {
    leased: Leased,
    left_out: Vec<(i64, &'static str)>,
    lease_ends: Instant,
}

/// The messages of this process between lease and record.
pub(super) struct Flight {
    post: Arc<Post>,
    rules: Rules,
    reach: Reach,
    max_age: Duration,
    sending: JoinSet<Sent>,
    on_their_way: HashMap<Id, OnItsWay>,
    /// Recipients that a warning named.
    warned: HashSet<String>,
    /// Done, and to be recorded.
    pub(super) finished: Vec<Finished>,
}

impl Flight {
    pub(super) fn new(post: Arc<Post>, settings: &Settings, reach: Reach) -> Self {
        Self {
            post,
            rules: settings.rules.clone(),
            reach,
            max_age: settings.max_age,
            sending: JoinSet::new(),
            on_their_way: HashMap::new(),
            warned: HashSet::new(),
            finished: Vec::new(),
        }
    }

    /// How many are being sent.
    pub(super) fn sending(&self) -> usize {
        self.sending.len()
    }

    /// How many, by target.
    pub(super) fn busy(&self) -> BTreeMap<String, u32> {
        let mut busy: BTreeMap<String, u32> = BTreeMap::new();
        for one in self.on_their_way.values() {
            *busy.entry(one.leased.target.clone()).or_default() += 1;
        }
        busy
    }

    /// Sends a message, or files it with what is finished where there is no need to. `clock` is the
    /// database's time at an instant of this process, before the lease began.
    pub(super) fn start(
        &mut self,
        leased: Leased,
        loaded: &Loaded,
        (now, then): (Option<DateTime<Utc>>, Instant),
    ) {
        let lease_ends = then + self.reach.lease_of(leased.kind);
        let left_out = loaded.mails.get(&leased.id).map_or_else(Vec::new, |mails| {
            let unwanted = mails
                .iter()
                .filter_map(|mail| Some((mail.id, unwanted(mail.unwanted.as_deref()?))));
            unwanted.collect()
        });
        let packed = match expired(&leased, self.max_age) {
            Some(expired) => Err(expired),
            None => self.post.pack(&leased, loaded),
        };
        let parcel = match packed {
            Ok(parcel) => parcel,
            Err(decision) => {
                let is_news = match decision.next {
                    Next::Cancelled => false,
                    // What its target lacks, all others of it lack.
                    Next::Retry { .. } => self.warned.insert(leased.recipient.clone()),
                    _ => true,
                };
                if is_news {
                    tracing::warn!(
                        delivery_id = leased.id,
                        channel = leased.kind.name(),
                        event_type = leased.event_type,
                        status = decision.next.status(),
                        "not attempted: {}",
                        decision.reason.as_deref().unwrap_or_default(),
                    );
                }
                self.finished.push(Finished {
                    leased,
                    decision,
                    attempt: None,
                    left_out,
                    lease_ends,
                });
                return;
            }
        };
        let post = Arc::clone(&self.post);
        let too_late = self.reach.lease / 4;
        let handle = self.sending.spawn(async move {
            let now = now?;
            let passed = then.elapsed();
            // Whoever slept on the lease, as with the machine, leaves the message to others.
            if passed > too_late {
                return None;
            }
            let began = Instant::now();
            let result = post.send(&parcel, now + passed).await;
            Some((result, began.elapsed()))
        });
        let one = OnItsWay {
            leased,
            left_out,
            lease_ends,
        };
        self.on_their_way.insert(handle.id(), one);
    }

    /// Waits for a message that is on its way, and takes along those that are done soon after it.
    pub(super) async fn wait(&mut self) {
        let Some(first) = self.sending.join_next_with_id().await else {
            return;
        };
        self.finish(first);
        let end = tokio::time::Instant::now() + TOGETHER;
        while let Ok(Some(next)) =
            tokio::time::timeout_at(end, self.sending.join_next_with_id()).await
        {
            self.finish(next);
        }
    }

    fn finish(&mut self, joined: Result<(Id, Sent), JoinError>) {
        let (id, sent) = match joined {
            Ok((id, sent)) => (id, sent),
            Err(error) => {
                // Its lease ends, and what became of it is uncertain: as if the process had been killed.
                tracing::error!("sending broke off: {error}");
                self.on_their_way.remove(&error.id());
                return;
            }
        };
        let Some(OnItsWay {
            leased,
            left_out,
            lease_ends,
        }) = self.on_their_way.remove(&id)
        else {
            return;
        };
        let Some((result, duration)) = sent else {
            tracing::warn!(
                delivery_id = leased.id,
                "too late to be sent under this lease"
            );
            // Nothing was sent; if the lease is still ours, it can be given back as it was.
            let next = Next::Retry {
                after: Duration::ZERO,
                is_charged: false,
            };
            self.finished.push(Finished {
                leased,
                decision: Decision::without_attempt(next, "too_late", "it was too late to be sent"),
                attempt: None,
                left_out,
                lease_ends,
            });
            return;
        };
        let attempted = Attempted {
            kind: leased.kind,
            attempts: leased.attempts,
            tried_for: leased.tried_for,
            is_shared: leased.is_shared(),
            failures: leased.failures,
        };
        let decision = decide(&self.rules, attempted, &result, rand::random());
        let outcome = outcome(&result);
        tracing::debug!(
            delivery_id = leased.id,
            channel = leased.kind.name(),
            event_type = leased.event_type,
            attempt = leased.attempts,
            outcome,
            seconds = duration.as_secs_f64(),
            "attempted",
        );
        if let Err(error) = &result {
            tracing::warn!(
                delivery_id = leased.id,
                channel = leased.kind.name(),
                event_type = leased.event_type,
                attempt = leased.attempts,
                status = decision.next.status(),
                "{error}",
            );
        }
        let (status, answer, provider_id) = match result {
            Ok(receipt) => (
                Some(receipt.status),
                Some(receipt.answer),
                receipt.provider_id,
            ),
            Err(error) => (error.status, error.answer, None),
        };
        self.finished.push(Finished {
            leased,
            decision,
            attempt: Some(Attempt {
                outcome,
                duration,
                status,
                answer: answer.filter(|answer| !answer.is_empty()),
                provider_id,
            }),
            left_out,
            lease_ends,
        });
    }
}
