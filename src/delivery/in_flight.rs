//! Deliveries in flight in this process, from lease to recorded result.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinError, JoinSet};

use super::finished::{Attempt, Finished};
use super::lease::Capabilities;
use super::leased::Leased;
use super::load::Loaded;
use super::retry_policy::{Decision, Next, decide};
use super::sender::Sender;
use super::states::Code;
use super::{DeliverySettings, RetryPolicy};
use crate::channels::{Receipt, SendError};

/// Results that arrive within this time are recorded together: a transaction for each would take most
/// of the time.
const TOGETHER: Duration = Duration::from_millis(3);

/// Result and duration of an attempt; `None`: the lease was too old to begin one.
type Sent = Option<(Result<Receipt, SendError>, Duration)>;

struct Sending {
    leased: Leased,
    left_out: Vec<(i64, &'static str)>,
    lease_ends: Instant,
}

pub(super) struct InFlight {
    sender: Arc<Sender>,
    retry_policy: RetryPolicy,
    capabilities: Capabilities,
    max_age: Duration,
    tasks: JoinSet<Sent>,
    by_task: HashMap<Id, Sending>,
    /// Recipients that were named in a warning.
    warned: HashSet<String>,
    /// To be recorded.
    pub(super) finished: Vec<Finished>,
}

impl InFlight {
    pub(super) fn new(
        sender: Arc<Sender>,
        settings: &DeliverySettings,
        capabilities: Capabilities,
    ) -> Self {
        Self {
            sender,
            retry_policy: settings.retry_policy.clone(),
            capabilities,
            max_age: settings.max_age,
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            warned: HashSet::new(),
            finished: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// How many are in flight, by target.
    pub(super) fn busy(&self) -> BTreeMap<String, u32> {
        let mut busy: BTreeMap<String, u32> = BTreeMap::new();
        for one in self.by_task.values() {
            *busy.entry(one.leased.target.clone()).or_default() += 1;
        }
        busy
    }

    /// Starts to send a message, or finishes it at once if there is nothing to send. `since` is an instant
    /// before the lease began.
    pub(super) fn start(&mut self, leased: Leased, loaded: &Loaded, since: Instant) {
        let emails = loaded.mails.get(&leased.id).map_or(&[][..], Vec::as_slice);
        let left_out = emails
            .iter()
            .filter_map(|email| Some((email.id, email.unwanted?.reason())));
        let left_out = left_out.collect();
        let rendered = self.sender.render(&leased, loaded, self.max_age);
        let now = leased.now;
        let sending = Sending {
            left_out,
            lease_ends: since + self.capabilities.lease_of(leased.channel),
            leased,
        };
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(decision) => {
                self.warn(&sending.leased, &decision);
                self.finish(sending, decision, None);
                return;
            }
        };
        let sender = Arc::clone(&self.sender);
        let latest_start = self.capabilities.lease / 4;
        let handle = self.tasks.spawn(async move {
            let passed = since.elapsed();
            // The machine may have slept meanwhile; another worker may hold the lease by now.
            if passed > latest_start {
                return None;
            }
            let began = Instant::now();
            let result = sender.send(&rendered, now + passed).await;
            Some((result, began.elapsed()))
        });
        self.by_task.insert(handle.id(), sending);
    }

    /// Warns of a delivery that is not attempted.
    fn warn(&mut self, leased: &Leased, decision: &Decision) {
        let is_news = match decision.next {
            Next::Cancelled => false,
            // One warning for all deliveries of the target.
            Next::Retry { .. } => self.warned.insert(leased.recipient.clone()),
            _ => true,
        };
        if is_news {
            tracing::warn!(
                delivery_id = leased.id,
                channel = leased.channel.name(),
                event_type = leased.event_type,
                status = decision.next.status().name(),
                "not attempted: {}",
                decision.reason.as_deref().unwrap_or_default(),
            );
        }
    }

    fn finish(&mut self, sending: Sending, decision: Decision, attempt: Option<Attempt>) {
        self.finished.push(Finished {
            leased: sending.leased,
            left_out: sending.left_out,
            lease_ends: sending.lease_ends,
            decision,
            attempt,
        });
    }

    /// Waits for the next result, and for those that follow shortly after it.
    pub(super) async fn wait(&mut self) {
        let Some(first) = self.tasks.join_next_with_id().await else {
            return;
        };
        self.joined(first);
        let end = tokio::time::Instant::now() + TOGETHER;
        while let Ok(Some(next)) =
            tokio::time::timeout_at(end, self.tasks.join_next_with_id()).await
        {
            self.joined(next);
        }
    }

    fn joined(&mut self, joined: Result<(Id, Sent), JoinError>) {
        let (id, sent) = match joined {
            Ok((id, sent)) => (id, sent),
            Err(error) => {
                // The result is unknown, as if the process had been killed: the expired lease is reclaimed.
                tracing::error!("a send panicked or was aborted: {error}");
                self.by_task.remove(&error.id());
                return;
            }
        };
        let Some(sending) = self.by_task.remove(&id) else {
            return;
        };
        let Some((result, duration)) = sent else {
            let reason = "lease expired before the send started";
            tracing::warn!(delivery_id = sending.leased.id, "{reason}");
            // Nothing was sent: if the lease is still ours, the delivery is requeued as it was.
            let next = Next::uncharged(Duration::ZERO);
            let decision = Decision::without_attempt(next, Code::TooLate, reason);
            self.finish(sending, decision, None);
            return;
        };
        let leased = &sending.leased;
        let decision = decide(&self.retry_policy, leased, &result, rand::random());
        let attempt = Attempt::new(duration, &result);
        tracing::debug!(
            delivery_id = leased.id,
            channel = leased.channel.name(),
            event_type = leased.event_type,
            attempt = leased.attempts,
            outcome = attempt.outcome.name(),
            seconds = duration.as_secs_f64(),
            "attempted",
        );
        if let Err(error) = &result {
            tracing::warn!(
                delivery_id = leased.id,
                channel = leased.channel.name(),
                event_type = leased.event_type,
                attempt = leased.attempts,
                status = decision.next.status().name(),
                "{error}",
            );
        }
        self.finish(sending, decision, Some(attempt));
    }
}
