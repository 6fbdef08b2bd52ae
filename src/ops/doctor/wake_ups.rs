//! Checks how a daemon would be woken, by a notification that is really sent.

use super::{Finding, Setup, said};
use crate::daemon::{CHANNEL, WakeMode};
use crate::db::{Database, Listener, sqlstate};

const DIRECT: &str = "set NOTIFY_LISTEN_URL to a direct address of the database";

/// `is_pooled`: whether `database` leads to a pooler in transaction mode, where a LISTEN would stay behind.
pub(super) async fn check(database: &Database, setup: &Setup, is_pooled: bool) -> Option<Finding> {
    let mode = setup.wake?;
    if mode == WakeMode::Poll {
        return Some(Finding::ok("a daemon polls, as NOTIFY_WAKE says"));
    }
    let arrival = match &setup.listen {
        None if is_pooled => Ok(None),
        listen => round_trip(listen.as_ref().unwrap_or(database), database).await,
    };
    Some(match arrival {
        Ok(Some(milliseconds)) => Finding::ok(format!(
            "a test notification arrived after {milliseconds:.1} ms: a daemon listens"
        )),
        Ok(None) if mode == WakeMode::Listen => Finding::problem(
            "notifications do not arrive, and NOTIFY_WAKE is listen: serve does not start",
            DIRECT,
        ),
        Ok(None) if setup.listen.is_some() => Finding::warn(
            "notifications do not arrive at NOTIFY_LISTEN_URL: a daemon polls",
            DIRECT,
        ),
        Ok(None) => Finding {
            advice: Some(format!("for a daemon that commits wake, {DIRECT}")),
            ..Finding::ok("notifications do not arrive through the pooler: a daemon polls")
        },
        // A standby, which another check names.
        Err(error) if sqlstate(&error).as_deref() == Some("25006") => return None,
        Err(error) => {
            let found = format!("a test notification failed: {}", said(&error));
            match setup.listen {
                Some(_) => Finding::problem(
                    found,
                    "serve is not ready without it: check NOTIFY_LISTEN_URL, or leave it out",
                ),
                None => Finding::warn(
                    found,
                    "a daemon needs a connection more: see docs/daemon.md",
                ),
            }
        }
    })
}

async fn round_trip(listen: &Database, database: &Database) -> Result<Option<f64>, sqlx::Error> {
    let mut listener = Listener::connect(listen, "notify-fan-out").await?;
    let time = listener.round_trip(CHANNEL, database).await?;
    Ok(time.map(|time| time.as_secs_f64() * 1_000.0))
}
