//! What the figures were taken on.

use serde_json::{Map, Value};
use sqlx::Row;

use super::job::BATCH;
use super::lab::Lab;
use super::options::WORLD;
use super::section::{Section, table};

const SETTINGS: &str = "server_version fsync synchronous_commit full_page_writes shared_buffers \
    work_mem max_wal_size checkpoint_timeout jit plan_cache_mode autovacuum";

pub(crate) async fn describe(lab: &mut Lab) -> anyhow::Result<Section> {
    let mut table = table(&["what", "value"]);
    let mut json = Map::new();
    let mut add = |name: &str, value: String| {
        table.add_row([name, &value]);
        json.insert(name.to_owned(), Value::from(value));
    };
    add("cores", std::thread::available_parallelism()?.to_string());
    add("processor", proc_value("/proc/cpuinfo", "model name"));
    add("memory", proc_value("/proc/meminfo", "MemTotal"));
    add(
        "job",
        format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
    );
    add(
        "system",
        format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    add("events claimed at once", BATCH.to_string());
    let settings = sqlx::query(
        "SELECT name, current_setting(name) AS value FROM unnest(string_to_array($1, ' ')) AS name",
    )
    .bind(SETTINGS)
    .fetch_all(&mut lab.db)
    .await?;
    for setting in settings {
        add(setting.get("name"), setting.get("value"));
    }
    for (name, size) in WORLD {
        add(name, size.to_string());
    }
    add("events", lab.options.events().to_string());
    Ok(Section {
        name: "machine",
        title: "Measured on".to_owned(),
        table,
        note: String::new(),
        json: Value::Object(json),
    })
}

/// A line of a file of the kernel's, where there is one.
fn proc_value(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find(|(name, _)| name.trim() == key);
    value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}
