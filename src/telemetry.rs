//! The log: to standard error, as text or JSON, without personal data.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Starts logging. Only this program's own entries are kept: libraries may log what they carry.
pub fn init(level: Level, format: LogFormat) {
    let own = Targets::new().with_target("notify_fan_out", level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // One filter for all, not one of the layer's: after `enabled!` has said no, as sqlx asks for
    // every notice of the server, a layer's filter would swallow the next entry.
    tracing_subscriber::registry().with(own).with(layer).init();
}
