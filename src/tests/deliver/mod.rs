//! Delivery as its users meet it: the real binary, and a receiver in place of providers and endpoints.

mod dedup_keys;
mod digests;
mod failures;
mod looks;
mod mails;
mod pauses;
mod refusals;
mod reused_ids;
mod targets;

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::channels::receiver::{Receiver, Reply, Request, answer};
use crate::harness::{TestDatabase, Worker};

/// A database, and a receiver that mails and messages go to.
pub(crate) struct Stage {
    pub(crate) db: TestDatabase<'static>,
    pub(crate) outside: Receiver,
}

/// A mail that is to be queued.
pub(crate) struct Queued<'a> {
    pub(crate) to: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) delivery_type: &'a str,
    pub(crate) subject: &'a str,
    /// Seconds.
    pub(crate) age: u32,
    pub(crate) body_data: Value,
}

impl Stage {
    /// Everything that is sent is taken.
    pub(crate) async fn new() -> Self {
        Self::with(|_| taken()).await
    }

    pub(crate) async fn with(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            db: TestDatabase::new().await,
            outside: Receiver::start(script).await,
        }
    }

    /// Requests are answered as permits are added.
    pub(crate) async fn gated() -> (Self, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(0));
        let gate = Arc::clone(&permits);
        let held = move |_: &Request| Reply::Held(Arc::clone(&gate), Box::new(taken()));
        (Self::with(held).await, permits)
    }

    /// `deliver` without any way to send mails or text messages.
    pub(crate) fn bare(&self) -> Command {
        bare(&self.db)
    }

    /// `deliver` with a provider of mails.
    pub(crate) fn command(&self) -> Command {
        with_mails(&self.db, &self.outside.base())
    }

    /// The daemon with a provider of mails.
    pub(crate) fn daemon(&self) -> Command {
        with_provider(sending(&self.db, "serve"), &self.outside.base())
    }

    /// `deliver` with a provider of text messages.
    fn texting(&self) -> Command {
        let mut command = self.bare();
        command
            .env(
                "NOTIFY_TWILIO_ACCOUNT_SID",
                "AC0123456789abcdef0123456789abcdef",
            )
            .env("NOTIFY_TWILIO_AUTH_TOKEN", "S3cret")
            .env("NOTIFY_TWILIO_FROM", "+15005550006")
            .env("NOTIFY_TWILIO_BASE_URL", self.outside.base());
        command
    }

    /// `deliver` with a Slack channel of the environment.
    fn with_slack(&self) -> Command {
        let mut command = self.bare();
        let url = format!("{}slack", self.outside.base());
        command.env("NOTIFICATIONS_SLACK_WEBHOOK_URL", url);
        command
    }

    /// Delivers with a provider of mails, and counts.
    async fn deliver(&self) -> String {
        counts(&mut self.command()).await
    }

    /// Delivers without one, and counts.
    pub(crate) async fn deliver_bare(&self) -> String {
        counts(&mut self.bare()).await
    }

    /// What a dry run prints.
    async fn dry_run(&self, mut command: Command) -> String {
        prints(command.arg("--dry-run")).await
    }

    /// Queues a mail, and returns its identifier.
    pub(crate) async fn queue(&self, mail: Queued<'_>) -> String {
        let Queued {
            to,
            event_type,
            delivery_type,
            subject,
            age,
            body_data,
        } = mail;
        let insert = format!(
            "WITH event AS (
                INSERT INTO domain_events (event_type) VALUES ('{event_type}') RETURNING id)
             INSERT INTO pending_emails
                (user_id, event_id, event_type, delivery_type, subject, body_data, created_at, project_id, project_name)
             SELECT '{to}', id, '{event_type}', '{delivery_type}', '{subject}', '{body_data}'::jsonb,
                    now() - interval '{age} seconds',
                    ('{body_data}'::jsonb ->> 'project_id')::uuid, '{body_data}'::jsonb ->> 'project_name'
               FROM event"
        );
        self.db.execute(insert).await;
        self.db.text("SELECT max(id) FROM pending_emails").await
    }

    /// Adds an endpoint at a path of the receiver, and returns its identifier.
    pub(crate) async fn endpoint(&self, channel: &str, name: &str) -> Uuid {
        let url = format!("{}{}", self.outside.base(), name.replace(' ', "/"));
        self.db.endpoint_at(channel, name, &url).await
    }

    /// Queues messages for an endpoint.
    pub(crate) async fn tell(&self, channel: &str, endpoint: Uuid, titles: &[&str]) {
        for title in titles {
            let message = crate::harness::Delivery::endpoint(channel, endpoint);
            self.db.delivery(message.says(title)).await;
        }
    }

    /// The mails that went out: `to: subject`, in the order of their recipients.
    fn mails(&self) -> Vec<String> {
        let requests = self.outside.requests();
        let shown = requests.iter().map(|request| {
            let mail = body(request);
            let to = mail["to"].as_str().or_else(|| mail["to"][0].as_str());
            let subject = mail["subject"].as_str().expect("a subject");
            format!("{}: {subject}", to.expect("a recipient"))
        });
        let mut mails: Vec<_> = shown.collect();
        mails.sort();
        mails
    }

    /// Where each delivery stands: type, status, attempts, code, reason.
    async fn deliveries(&self) -> String {
        let query =
            "SELECT concat_ws(' ', event_type, status, attempts, code, '(' || reason || ')')
                       FROM notification_deliveries ORDER BY id";
        self.db.texts(query).await.join("\n")
    }

    /// Where each mail stands, and why.
    async fn queue_states(&self) -> String {
        let query = "SELECT concat_ws(' ', subject || ':', status, status_reason)
                       FROM pending_emails ORDER BY id";
        self.db.texts(query).await.join("\n")
    }

    /// What is remembered of the only target.
    async fn target(&self) -> String {
        let query = "SELECT concat_ws(' ', 'failures=' || failures, 'throttled=' || throttled,
                            CASE WHEN failing_since IS NOT NULL THEN 'failing' END,
                            CASE WHEN paused_until > now() THEN 'paused' END)
                       FROM notification_delivery_targets";
        self.db.text(query).await
    }

    /// Lets what waits for its next attempt be due.
    async fn let_time_pass(&self) {
        self.db
            .execute(
                "UPDATE notification_deliveries SET next_attempt_at = now() WHERE status = 'pending';
                 UPDATE notification_delivery_targets SET paused_until = NULL",
            )
            .await;
    }
}

/// `deliver` with leave to send to this machine, and nothing else.
pub(crate) fn bare(db: &TestDatabase<'_>) -> Command {
    sending(db, "deliver")
}

/// A subcommand with that leave.
fn sending(db: &TestDatabase<'_>, subcommand: &str) -> Command {
    let mut command = db.binary();
    command
        .arg(subcommand)
        .env("APP_BASE_URL", "https://app.example.com")
        .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
        .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true");
    command
}

/// The same with a provider of mails at an address.
pub(crate) fn with_mails(db: &TestDatabase<'_>, base: &str) -> Command {
    with_provider(bare(db), base)
}

fn with_provider(mut command: Command, base: &str) -> Command {
    command
        .env("NOTIFICATIONS_RESEND_API_KEY", "re_S3cret")
        .env("NOTIFY_RESEND_BASE_URL", base)
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    command
}

/// Starts a command that prints JSON.
pub(crate) fn start(command: &mut Command) -> Worker {
    Worker::start(command.args(["--format", "json"]))
}

/// Runs a command to its end and returns its report.
pub(crate) async fn report(command: &mut Command) -> Value {
    let ended = start(command).end().await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{:?} {}",
        ended.status,
        ended.stderr
    );
    ended.report()
}

/// Runs a command to its end and returns the counts of its report.
pub(crate) async fn counts(command: &mut Command) -> String {
    counts_of(&report(command).await)
}

/// The counts of a report that are not zero, in short.
pub(crate) fn counts_of(report: &Value) -> String {
    let counts = report.as_object().expect("an object").iter();
    let counts = counts.filter(|(_, value)| value.as_u64().is_some_and(|count| count > 0));
    let shown: Vec<_> = counts
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shown.join(" ")
}

/// What a command that succeeds, or leaves dead letters, prints for people.
async fn prints(command: &mut Command) -> String {
    let ended = Worker::start(command).end().await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{:?} {}",
        ended.status,
        ended.stderr
    );
    ended.stdout
}

pub(crate) fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// The plain text of a mail.
fn text_of(request: &Request) -> String {
    let mail = body(request);
    mail["text"].as_str().expect("a text").to_owned()
}

/// What Resend answers where it takes a mail, and what anybody else is content with.
fn taken() -> Reply {
    answer(200, &[], r#"{"id":"4ef9a417-02e9-4d39-ad75-9611e0fcc33c"}"#)
}

/// Resend's answer to a mail that it never takes.
fn invalid() -> Reply {
    answer(
        422,
        &[],
        r#"{"name":"validation_error","message":"Invalid `to` field."}"#,
    )
}

/// A mail that goes out at once.
pub(crate) fn immediate(to: Uuid, subject: &str) -> Queued<'_> {
    Queued {
        to,
        event_type: "invite_accepted",
        delivery_type: "immediate",
        subject,
        age: 60,
        body_data: serde_json::json!({"link_url": "/team"}),
    }
}

/// A mail for a digest whose window has passed.
pub(crate) fn aggregated(to: Uuid, subject: &str) -> Queued<'_> {
    Queued {
        event_type: "document_uploaded",
        delivery_type: "aggregated",
        age: 4 * 3_600,
        ..immediate(to, subject)
    }
}

/// A preference, as SQL.
fn prefers(user: Uuid, event_type: &str, channel: &str, status: &str) -> String {
    format!(
        "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
         VALUES ('{user}', 'global', '{event_type}', '{channel}', '{status}');"
    )
}
