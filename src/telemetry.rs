//! The log: to standard error, as text or JSON, without personal data.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Starts logging. Only this program's own entries are kept: libraries may log what they carry.
pub(crate) fn init(level: Level, format: LogFormat) {
    let own = Targets::new().with_target("notify_fan_out", level);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // One filter for all, not one of the layer's: after `enabled!` has said no, as sqlx asks for
    // every message of the server, a layer's filter would swallow the next entry.
    tracing_subscriber::registry().with(own).with(layer).init();
    FORMAT.get_or_init(|| format);
    if format == LogFormat::Json {
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
}

/// Whether every line of standard error is a JSON object.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Says how a job ended, at every level, as an entry of a log in JSON.
pub(crate) fn entry(message: &str, fields: Map<String, Value>) {
    let mut entry = fields;
    let time = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    for (name, value) in [
        ("timestamp", &*time),
        ("level", "INFO"),
        ("message", message),
    ] {
        entry.insert(name.to_owned(), value.into());
    }
    eprintln!("{}", Value::Object(entry));
}

/// Says why the program ends: to a person at a terminal as it is, into a log as an entry with its time.
pub(crate) fn report(error: &dyn Display) {
    if !is_json() && std::io::stderr().is_terminal() {
        eprintln!("error: {error}");
    } else {
        tracing::error!("{error}");
    }
}
