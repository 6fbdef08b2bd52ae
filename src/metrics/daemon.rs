//! The metrics of `serve` itself.

use super::registry::{Kind, Metric, Registry};

metrics! {
    READY: Gauge, "daemon_ready", [], "1 while the daemon can work.";
    WAKE_MODE: Gauge, "daemon_wake_mode", ["mode"], "1 for the mode in force: listen or poll.";
    WAKE_UPS: Counter, "daemon_wake_ups_total", ["cause"], "Wake-ups of the fan-out, by cause.";
    LAST_CLAIM: Gauge, "daemon_seconds_since_last_claim", [], "Time since events were last claimed, or since the start.";
    BUSY: Gauge, "daemon_busy_workers", [], "Workers of the fan-out that have a batch in hand.";
}

/// How a daemon is at one moment.
#[derive(Debug)]
pub(crate) struct DaemonState {
    pub(crate) is_ready: bool,
    pub(crate) is_listening: bool,
    /// By cause.
    pub(crate) wake_ups: Vec<(&'static str, u64)>,
    pub(crate) seconds_since_last_claim: f64,
    pub(crate) busy_workers: u32,
}

pub(super) fn text(state: &DaemonState) -> String {
    let mut registry = Registry::from_text(METRICS, "");
    registry.set(&READY, &[], f64::from(u8::from(state.is_ready)));
    for (mode, is_in_force) in [
        ("listen", state.is_listening),
        ("poll", !state.is_listening),
    ] {
        registry.set(&WAKE_MODE, &[mode], f64::from(u8::from(is_in_force)));
    }
    for (cause, count) in &state.wake_ups {
        registry.add(&WAKE_UPS, &[cause], *count);
    }
    registry.set(&LAST_CLAIM, &[], state.seconds_since_last_claim);
    registry.set(&BUSY, &[], state.busy_workers.into());
    registry.to_text()
}
