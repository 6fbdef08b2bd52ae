//! Checks the accounts that send for all recipients of a channel, and the encryption of endpoints.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Finding, Findings, listed};
use crate::channels::{Channel, SentBy};
use crate::db::{Transaction, Unnamed};
use crate::endpoints::Encryption;

/// What waits for an account, and whether that works.
struct Account {
    waiting: i64,
    failing_since: Option<DateTime<Utc>>,
    failures: i32,
    paused_until: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// Whether waiting messages have a transport, and whether it works.
pub(super) async fn configured(
    connection: &mut Transaction<'_>,
    transports: &BTreeMap<Channel, Option<&'static str>>,
) -> Findings {
    let channels: Vec<_> = Channel::ALL
        .into_iter()
        .filter(|it| it.is_shared())
        .collect();
    let names: Vec<_> = channels.iter().map(|it| it.name().to_owned()).collect();
    let accounts = sqlx::query_file_as!(Account, "src/ops/doctor/transports.sql", &names)
        .fetch_all(Unnamed(connection))
        .await?;
    let mut checks = Vec::new();
    let mut well = Vec::new();
    for (channel, account) in channels.into_iter().zip(accounts) {
        let spec = channel.spec();
        let (what, transport) = (spec.messages, transports.get(&channel));
        let SentBy::Account { variables, .. } = spec.sent_by else {
            continue;
        };
        match transport {
            Some(None) if account.waiting > 0 => checks.push(Finding::warn(
                format!(
                    "no transport for {what} is configured; {} {}",
                    account.waiting,
                    if account.waiting == 1 {
                        "waits"
                    } else {
                        "wait"
                    }
                ),
                format!("set {variables}"),
            )),
            Some(None) => well.push(format!("{what}: no transport, and none wait")),
            _ if account.failing_since.is_some() || account.paused_until.is_some() => {
                checks.push(Finding::warn(
                    describe(what, &account),
                    "fix the cause before what waits becomes dead letters: notify-fan-out status",
                ));
            }
            Some(Some(name)) => well.push(format!("{what} by {name}")),
            None => {}
        }
    }
    if !well.is_empty() {
        checks.push(Finding::ok(well.join("; ")));
    }
    Ok(checks)
}

fn describe(what: &str, account: &Account) -> String {
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut states = Vec::new();
    if let Some(since) = account.failing_since {
        states.push(format!(
            "have failed since {} (attempts: {})",
            time(since),
            account.failures
        ));
    }
    if let Some(until) = account.paused_until {
        states.push(format!("are paused until {}", time(until)));
    }
    let error = account.last_error.as_deref();
    let error = error.map_or_else(String::new, |error| format!(": {error}"));
    format!("{what} {}{error}", states.join(", and "))
}

/// Whether the settings of endpoints can be read. Nothing, for a role that may not read them in any
/// case: it sends nothing.
pub(super) async fn encryption(
    connection: &mut Transaction<'_>,
    encryption: &Encryption,
) -> Findings {
    let may_read = sqlx::query_scalar!(
        r#"SELECT has_column_privilege('notification_endpoints', 'settings', 'SELECT') AS "may_read!""#
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    if !may_read {
        return Ok(Vec::new());
    }
    let encrypted = sqlx::query!(
        "SELECT id, name, settings FROM notification_endpoints WHERE settings LIKE 'enc:%' ORDER BY name"
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let unreadable = encrypted
        .into_iter()
        .filter(|row| encryption.decrypt(row.id, &row.settings).is_err());
    let names: Vec<_> = unreadable.map(|row| row.name).collect();
    let count = match names.len() {
        0 => return Ok(Vec::new()),
        1 => "1 endpoint".to_owned(),
        more => format!("{more} endpoints"),
    };
    Ok(vec![Finding::problem(
        format!(
            "the settings of {count} can't be decrypted: {}",
            listed(names, ", ")
        ),
        "set NOTIFY_SECRET_KEY to the key that they were encrypted with",
    )])
}
