//! The long-running form of both stages: the claims, leases and fences of the minute jobs, so that they, several
//! daemons and manual runs work side by side.
//!
//! A watcher sleeps until the trigger's notification, a look at the tables or the other stage says that
//! something is due, and wakes a worker. All of that is a hint: the rows are the contract, and what no hint
//! points to is found by the next look.

mod backoff;
mod deliverer;
mod fan_out;
mod health;
mod hub;
pub(crate) mod name;
mod pace;
mod systemd;
mod watcher;

pub(crate) use hub::Hub;
pub(crate) use systemd::supervise;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::db::{Database, Listener};
use crate::delivery::{DeliveryReport, DeliverySettings, Sender};
use crate::fan_out::FanOutReport;
use watcher::Watcher;

/// The channel of the trigger.
pub(crate) const CHANNEL: &str = "notify_fan_out";
/// What is in hand when the daemon is to stop gets so long.
const GRACE: Duration = Duration::from_millis(4_500);

/// A connection that was idle for so long may have been dropped by what is in between, silently.
const IDLE_LONG: Duration = Duration::from_secs(10);
/// It is asked whether it still answers, within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// How the daemon waits for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WakeMode {
    /// Listens where notifications arrive, and polls elsewhere.
    Auto,
    /// Listens.
    Listen,
    /// Polls.
    Poll,
}

/// What a daemon works with.
pub(crate) struct Daemon {
    pub(crate) database: Database,
    /// A direct address, where `database` leads to a pooler.
    pub(crate) listen: Option<Database>,
    pub(crate) mode: WakeMode,
    pub(crate) fan_out: Option<crate::fan_out::FanOutSettings>,
    pub(crate) delivery: Option<(Sender, DeliverySettings)>,
    /// HOST:PID:RUN.
    pub(crate) id: String,
    pub(crate) stuck_after: Duration,
    pub(crate) digest_every: Duration,
}

/// Takes what was done.
pub(crate) trait Reports {
    /// Of a pass that took so long.
    fn fan_out(&self, report: &FanOutReport, seconds: f64, succeeded: bool);
    fn delivery(&self, report: &DeliveryReport, seconds: f64, succeeded: bool);
}

/// Works until it is stopped, and finishes what is in hand. Once the process is to `end`, that has to be soon.
pub(crate) async fn serve(
    daemon: Daemon,
    hub: &Hub,
    reports: &dyn Reports,
    stop: &CancellationToken,
    end: &CancellationToken,
) {
    let database = &daemon.database;
    let watcher = Watcher {
        database,
        listen: daemon.listen.as_ref().unwrap_or(database),
        mode: daemon.mode,
        stuck_after: daemon.stuck_after,
        digest_every: daemon.digest_every,
        id: daemon.id,
        hub,
        stop,
    };
    let workers = async {
        if let Some(settings) = &daemon.fan_out {
            fan_out::work(
                database,
                daemon.listen.is_none(),
                settings,
                hub,
                reports,
                stop,
            )
            .await;
        }
    };
    let deliverer = async {
        if let Some((sender, settings)) = daemon.delivery {
            deliverer::deliver(database, sender, &settings, hub, reports, stop).await;
        }
    };
    let all = async {
        tokio::join!(watcher.run(), workers, deliverer);
    };
    let too_late = async {
        end.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = all => {}
        () = too_late => tracing::warn!("ending with work in hand: its claims and leases will be reclaimed"),
    }
}

/// Whether notifications arrive on a connection of `listen`.
pub(crate) async fn can_listen(
    listen: &Database,
    database: &Database,
) -> Result<bool, sqlx::Error> {
    let mut connection = Listener::connect(listen, "notify-fan-out").await?;
    connection.listen(CHANNEL, database).await
}
