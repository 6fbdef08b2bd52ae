//! Notifies systemd of the daemon's state, where that started it as `Type=notify`.

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::hub::Hub;

/// Says when the daemon is ready, keeps the watchdog quiet while its parts take turns, and says when it stops.
pub(crate) async fn supervise(hub: &Hub, stop: &CancellationToken) {
    hub.first_ready(stop).await;
    tell(&[NotifyState::Ready]);
    if let Some(interval) = sd_notify::watchdog_enabled() {
        let mut ticks = tokio::time::interval(interval / 3);
        loop {
            tokio::select! {
                _ = ticks.tick() => tell(&[NotifyState::Watchdog]),
                () = stop.cancelled() => break,
            }
        }
    } else {
        stop.cancelled().await;
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd could not be notified: {error}");
    }
}
