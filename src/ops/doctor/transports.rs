//! Checks the transports of e-mails and text messages, and the encryption of endpoints.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Finding, Findings};
use crate::db::{Transaction, Unnamed};
use crate::endpoints::Encryption;

const NAME: &str = "transports";
/// Endpoints that are named.
const MOST_NAMED: usize = 10;

/// The transport of a channel, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfiguredTransport {
    /// The one of this name.
    Named(&'static str),
    /// None is configured.
    Missing,
    /// That is not known here.
    #[default]
    Unknown,
}

/// A channel whose transport is configured once for all of its messages.
struct Channel {
    /// What is paused as one.
    target: &'static str,
    /// Its messages.
    what: &'static str,
    /// What to set where none is configured.
    variables: &'static str,
}

const MAILS: Channel = Channel {
    target: "email",
    what: "e-mails",
    variables: "NOTIFY_SMTP_URL, NOTIFICATIONS_RESEND_API_KEY or NOTIFY_SENDGRID_API_KEY; and \
                NOTIFY_EMAIL_TRANSPORT must not be none",
};
const TEXTS: Channel = Channel {
    target: "sms",
    what: "text messages",
    variables: "NOTIFY_TWILIO_ACCOUNT_SID, NOTIFY_TWILIO_AUTH_TOKEN and NOTIFY_TWILIO_FROM",
};

/// The state of a target's circuit breaker.
#[derive(sqlx::FromRow)]
struct TargetState {
    target: String,
    failing_since: Option<DateTime<Utc>>,
    failures: i32,
    paused_until: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// Whether waiting e-mails and text messages have a transport, and whether it works.
pub(super) async fn configured(
    connection: &mut Transaction<'_>,
    mails: ConfiguredTransport,
    texts: ConfiguredTransport,
) -> Findings {
    let (mails_waiting, texts_waiting): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pending_emails WHERE status = 'pending')
                + count(*) FILTER (WHERE target = 'email'), count(*) FILTER (WHERE target = 'sms')
           FROM notification_deliveries WHERE status = 'pending' AND target IN ('email', 'sms')",
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    // Pauses of a few seconds only pace.
    let states: Vec<TargetState> = sqlx::query_as(
        "SELECT target, failing_since, failures,
                CASE WHEN paused_until > now() + interval '5 seconds' THEN paused_until END AS paused_until, last_error
           FROM notification_delivery_targets
          WHERE target IN ('email', 'sms')
            AND (failing_since IS NOT NULL OR paused_until > now() + interval '5 seconds')",
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut checks = Vec::new();
    let mut well = Vec::new();
    for (channel, transport, waiting) in
        [(MAILS, mails, mails_waiting), (TEXTS, texts, texts_waiting)]
    {
        let what = channel.what;
        let state = states.iter().find(|one| one.target == channel.target);
        match (transport, state) {
            (ConfiguredTransport::Missing, _) if waiting > 0 => checks.push(Finding::warn(
                NAME,
                format!(
                    "no transport for {what} is configured; {waiting} {}",
                    if waiting == 1 { "waits" } else { "wait" }
                ),
                format!("set {}", channel.variables),
            )),
            (ConfiguredTransport::Missing, _) => {
                well.push(format!("{what}: no transport, and none wait"));
            }
            (_, Some(state)) => checks.push(Finding::warn(
                NAME,
                describe(what, state),
                "fix the cause before what waits becomes dead letters: notify-fan-out status",
            )),
            (ConfiguredTransport::Named(name), None) => well.push(format!("{what} by {name}")),
            (ConfiguredTransport::Unknown, None) => {}
        }
    }
    if !well.is_empty() {
        checks.push(Finding::ok(NAME, well.join("; ")));
    }
    Ok(checks)
}

fn describe(what: &str, state: &TargetState) -> String {
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut states = Vec::new();
    if let Some(since) = state.failing_since {
        states.push(format!(
            "have failed since {} (attempts: {})",
            time(since),
            state.failures
        ));
    }
    if let Some(until) = state.paused_until {
        states.push(format!("are paused until {}", time(until)));
    }
    let error = match &state.last_error {
        Some(error) => format!(": {error}"),
        None => String::new(),
    };
    format!("{what} {}{error}", states.join(", and "))
}

/// Whether the settings of endpoints can be read. Nothing, for a role that may not read them in any
/// case: it sends nothing.
pub(super) async fn encryption(
    connection: &mut Transaction<'_>,
    encryption: &Encryption,
) -> Findings {
    let may_read: bool = sqlx::query_scalar(
        "SELECT has_column_privilege('notification_endpoints', 'settings', 'SELECT')",
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    if !may_read {
        return Ok(Vec::new());
    }
    let encrypted: Vec<(Uuid, String, String)> = sqlx::query_as(
        "SELECT id, name, settings FROM notification_endpoints WHERE settings LIKE 'enc:%' ORDER BY name",
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut names: Vec<_> = encrypted
        .into_iter()
        .filter(|(id, _, settings)| encryption.decrypt(*id, settings).is_err())
        .map(|(_, name, _)| name)
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let count = match names.len() {
        1 => "1 endpoint".to_owned(),
        more => format!("{more} endpoints"),
    };
    let hidden = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    if hidden > 0 {
        names.push(format!("and {hidden} more"));
    }
    Ok(vec![Finding::problem(
        NAME,
        format!(
            "the settings of {count} can't be decrypted: {}",
            names.join(", ")
        ),
        "set NOTIFY_SECRET_KEY to the key that they were encrypted with",
    )])
}

/// What of the configuration is wrong.
pub(super) fn settings(invalid: &[String]) -> Vec<Finding> {
    let problem = |error: &String| {
        Finding::problem(
            "settings",
            error.as_str(),
            "whatever needs it ends with exit code 2 until it is fixed; see .env.example",
        )
    };
    invalid.iter().map(problem).collect()
}
