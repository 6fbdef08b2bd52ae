//! Watches the database for the workers: sleeps while nothing happens, and wakes them when something is due.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::health::Part;
use super::hub::{Cause, Hub};
use super::name::connection_name;
use super::{CHANNEL, WakeMode};
use crate::db::{Database, Listener, said};

const LOOK: &str = include_str!("look.sql");
/// Says that the daemon sleeps. Asynchronously: a flag that is lost in a crash is set anew.
const ARM: &str = "SELECT set_config('synchronous_commit', 'off', true) IS NULL AS is_lost, setval('notification_wake_seq', (last_value / 1024 + 1) * 1024) AS armed FROM notification_wake_seq";
/// Events without a trigger are looked for this often, if there are new ones.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Maintenance comes this often even where no look asks for it.
const MAINTAIN_EVERY: Duration = Duration::from_mins(10);

/// The answer of a look.
#[derive(Debug, Clone, Default, PartialEq, sqlx::FromRow)]
struct Look {
    now: f64,
    is_armed: bool,
    next_event_in: Option<f64>,
    oldest_claim_age: Option<f64>,
    newest_event: Option<i64>,
    newest_delivery: Option<i64>,
    newest_email: Option<f64>,
    has_expired_lease: bool,
}

pub(super) struct Watcher<'a> {
    pub(super) database: &'a Database,
    /// Where notifications arrive; another address than the database's behind a pooler.
    pub(super) listen: &'a Database,
    pub(super) mode: WakeMode,
    pub(super) stuck_after: Duration,
    pub(super) digest_every: Duration,
    pub(super) id: String,
    pub(super) hub: &'a Hub,
    pub(super) stop: &'a CancellationToken,
}

/// What is remembered from look to look.
struct Seen {
    look: Look,
    maintained: Instant,
    maintained_event: Option<i64>,
}

impl Watcher<'_> {
    /// Watches until it is stopped.
    pub(super) async fn run(&self) {
        let mut backoff = Backoff::new();
        while !self.stop.is_cancelled() {
            let Err(error) = self.watch(&mut backoff).await else {
                return;
            };
            self.hub.health.fails(Part::Watcher, &said(&error));
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Watches by one connection.
    async fn watch(&self, backoff: &mut Backoff) -> Result<(), sqlx::Error> {
        let (mut connection, is_listening) = self.connect().await?;
        self.hub.set_listening(is_listening);
        let mut seen: Option<Seen> = None;
        // What was sent while nobody listened is lost: the workers look for themselves.
        self.hub.ask_for_maintenance();
        self.hub.wake_fan_out(Cause::Start);
        self.hub.wake_delivery();
        loop {
            let look: Look = connection.ask(LOOK).await?;
            self.hub.health.works(Part::Watcher);
            backoff.reset();
            let is_armed = look.is_armed;
            let next_event_in = look.next_event_in;
            self.judge(&mut seen, look);
            let wants_to_sleep = is_listening && !is_armed;
            if wants_to_sleep && self.may_sleep() {
                connection.ask::<(bool, i64)>(ARM).await?;
                // Events that were enqueued before that notified nobody.
                continue;
            }
            let now = Instant::now();
            let mut pause = self.hub.pace().pause(is_listening, now);
            if let Some(due) = next_event_in.and_then(|due| Duration::try_from_secs_f64(due).ok()) {
                pause = pause.min(due.max(super::pace::SHORTEST));
            }
            if self.wait(&mut connection, pause, wants_to_sleep).await? {
                return Ok(());
            }
        }
    }

    /// A connection, and whether notifications arrive on it.
    async fn connect(&self) -> Result<(Listener, bool), sqlx::Error> {
        if self.mode == WakeMode::Poll {
            let connection =
                Listener::connect(self.database, &connection_name(&self.id, Some(false))).await?;
            return Ok((connection, false));
        }
        let mut connection =
            Listener::connect(self.listen, &connection_name(&self.id, None)).await?;
        let is_listening = connection.listen(CHANNEL, self.database).await?;
        if is_listening {
            connection
                .rename(&connection_name(&self.id, Some(true)))
                .await?;
        } else {
            // Anew: what a pooler passes on is the name that a client connects with.
            let name = connection_name(&self.id, Some(false));
            connection = Listener::connect(self.listen, &name).await?;
            tracing::warn!(
                "notifications do not arrive on this connection, as behind a pooler in transaction mode; to be \
                 woken by them, set NOTIFY_LISTEN_URL to a direct address of the database"
            );
        }
        Ok((connection, is_listening))
    }

    fn may_sleep(&self) -> bool {
        self.hub.is_idle() && !self.hub.pace().is_busy(Instant::now())
    }

    /// Wakes whom the answer concerns.
    fn judge(&self, seen: &mut Option<Seen>, look: Look) {
        let now = Instant::now();
        let Some(seen) = seen else {
            *seen = Some(Seen {
                maintained: now,
                maintained_event: look.newest_event,
                look,
            });
            return;
        };
        let since = now.duration_since(seen.maintained);
        let is_stuck = look
            .oldest_claim_age
            .is_some_and(|age| age >= self.stuck_after.as_secs_f64());
        let has_new = look.newest_event != seen.maintained_event;
        let is_due = since >= MAINTAIN_EVERY
            || since >= SWEEP_EVERY && has_new
            || since >= SWEEP_EVERY.min(self.stuck_after) && is_stuck;
        if is_due {
            seen.maintained = now;
            seen.maintained_event = look.newest_event;
            self.hub.ask_for_maintenance();
            self.hub.wake_fan_out(Cause::Poll);
            self.hub.wake_delivery();
        } else if look.next_event_in.is_some_and(|due| due <= 0.0) {
            self.hub.wake_fan_out(Cause::Poll);
        }
        let window = |look: &Look| (look.now / self.digest_every.as_secs_f64()).floor();
        if look.newest_delivery != seen.look.newest_delivery
            || look.newest_email != seen.look.newest_email
            || window(&look) > window(&seen.look)
        {
            self.hub.wake_delivery();
        }
        if look.has_expired_lease {
            self.hub.ask_for_reclaim();
            self.hub.wake_delivery();
        }
        seen.look = look;
    }

    /// Waits for a notification or until the pause is over; who wants to sleep is back as soon as no worker has
    /// anything in hand. `true`: to stop.
    async fn wait(
        &self,
        connection: &mut Listener,
        pause: Duration,
        wants_to_sleep: bool,
    ) -> Result<bool, sqlx::Error> {
        let over = tokio::time::Instant::now() + pause;
        loop {
            tokio::select! {
                payload = connection.wait() => {
                    // Tests of other daemons arrive too.
                    if payload?.is_empty() {
                        self.hub.wake_fan_out(Cause::Notify);
                    }
                }
                () = self.hub.is_idle.notified(), if wants_to_sleep => {
                    if self.may_sleep() {
                        return Ok(false);
                    }
                }
                () = tokio::time::sleep_until(over) => return Ok(false),
                () = self.stop.cancelled() => return Ok(true),
            }
        }
    }
}
