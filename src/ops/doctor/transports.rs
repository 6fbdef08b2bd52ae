//! Whether there is anything that what waits could leave by.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Check, Findings};
use crate::db::{Transaction, Unnamed};
use crate::endpoints::Encryption;

const NAME: &str = "transports";
/// Endpoints that are named.
const MOST_NAMED: usize = 10;

/// What carries the messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    /// The one of this name.
    Named(&'static str),
    /// Nothing.
    Missing,
    /// That is not known here.
    #[default]
    Unknown,
}

/// A channel whose transport is configured once for all of its messages.
struct Channel {
    /// What is paused as one.
    target: &'static str,
    /// What it carries.
    what: &'static str,
    /// What to set, where nothing carries them.
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

/// What was learned of a target.
#[derive(sqlx::FromRow)]
struct Learned {
    target: String,
    failing_since: Option<DateTime<Utc>>,
    failures: i32,
    paused_until: Option<DateTime<Utc>>,
    last_error: Option<String>,
}

/// Whether e-mails and text messages that wait have a way out, and whether it is open.
pub(super) async fn carriers(
    connection: &mut Transaction<'_>,
    mails: Carrier,
    texts: Carrier,
) -> Findings {
    let (mails_waiting, texts_waiting): (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM pending_emails WHERE status = 'pending')
                + count(*) FILTER (WHERE target = 'email'), count(*) FILTER (WHERE target = 'sms')
           FROM notification_deliveries WHERE status = 'pending' AND target IN ('email', 'sms')",
    )
    .fetch_one(Unnamed(&mut *connection))
    .await?;
    // Pauses of a few seconds only pace.
    let learned: Vec<Learned> = sqlx::query_as(
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
    for (channel, carrier, waiting) in
        [(MAILS, mails, mails_waiting), (TEXTS, texts, texts_waiting)]
    {
        let what = channel.what;
        let lesson = learned.iter().find(|one| one.target == channel.target);
        match (carrier, lesson) {
            (Carrier::Missing, _) if waiting > 0 => checks.push(Check::warn(
                NAME,
                format!(
                    "nothing that carries {what} is configured; {waiting} {}",
                    if waiting == 1 { "waits" } else { "wait" }
                ),
                format!("set {}", channel.variables),
            )),
            (Carrier::Missing, _) => well.push(format!("nothing carries {what}, and none wait")),
            (_, Some(lesson)) => checks.push(Check::warn(
                NAME,
                in_words(what, lesson),
                "mend what the error says, else what waits is given up: notify-fan-out status",
            )),
            (Carrier::Named(name), None) => well.push(format!("{what} by {name}")),
            (Carrier::Unknown, None) => {}
        }
    }
    if !well.is_empty() {
        checks.push(Check::ok(NAME, well.join("; ")));
    }
    Ok(checks)
}

fn in_words(what: &str, lesson: &Learned) -> String {
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut states = Vec::new();
    if let Some(since) = lesson.failing_since {
        states.push(format!(
            "have failed since {} (attempts: {})",
            time(since),
            lesson.failures
        ));
    }
    if let Some(until) = lesson.paused_until {
        states.push(format!("are paused until {}", time(until)));
    }
    let error = match &lesson.last_error {
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
    let sealed: Vec<(Uuid, String, String)> = sqlx::query_as(
        "SELECT id, name, settings FROM notification_endpoints WHERE settings LIKE 'enc:%' ORDER BY name",
    )
    .fetch_all(Unnamed(connection))
    .await?;
    let mut names: Vec<_> = sealed
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
    Ok(vec![Check::problem(
        NAME,
        format!(
            "the settings of {count} can't be decrypted: {}",
            names.join(", ")
        ),
        "set NOTIFY_SECRET_KEY to the key that they were encrypted with",
    )])
}

/// What of the configuration is wrong.
pub(super) fn settings(invalid: &[String]) -> Vec<Check> {
    let problem = |error: &String| {
        Check::problem(
            "settings",
            error.as_str(),
            "whatever needs it ends with exit code 2 until it is mended; see .env.example",
        )
    };
    invalid.iter().map(problem).collect()
}
