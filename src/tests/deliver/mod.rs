//! Delivery as its users meet it: the real binary, and a receiver in place of providers and endpoints.

mod accounts;
mod dedup_keys;
mod digests;
mod failures;
mod looks;
mod mails;
mod old;
mod recording;
mod refusals;
mod reused_ids;
mod targets;

use std::process::Command;

use notify_fan_out::domain::announcement::Message;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::channels::receiver::{Receiver, Reply, Request, answer};
use crate::harness::{TestDatabase, Worker};

/// A database, and a receiver that mails and messages go to.
struct Stage {
    db: TestDatabase<'static>,
    outside: Receiver,
}

/// A mail that is to be queued.
struct Queued<'a> {
    to: Uuid,
    event_type: &'a str,
    delivery_type: &'a str,
    subject: &'a str,
    /// Seconds.
    age: u32,
    body_data: Value,
}

impl Stage {
    /// Everything that is sent is taken.
    async fn new() -> Self {
        Self::with(|_| taken()).await
    }

    async fn with(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self {
            db: TestDatabase::new().await,
            outside: Receiver::start(script).await,
        }
    }

    /// `deliver` without any way to send mails or text messages.
    fn bare(&self) -> Command {
        let mut command = self.db.binary();
        command
            .arg("deliver")
            .env("APP_BASE_URL", "https://app.example.com")
            .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
            .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true");
        command
    }

    /// `deliver` with a provider of mails.
    fn command(&self) -> Command {
        let mut command = self.bare();
        command
            .env("NOTIFICATIONS_RESEND_API_KEY", "re_S3cret")
            .env("NOTIFY_RESEND_BASE_URL", self.outside.base())
            .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
        command
    }

    /// Runs it to its end and returns its report.
    async fn deliver(&self) -> Value {
        report(self.command().args(["--format", "json"])).await
    }

    /// Runs a statement that returns the identifier of what it inserts.
    async fn insert(&self, statement: String) -> String {
        sqlx::query_scalar(AssertSqlSafe(statement.clone()))
            .fetch_one(&mut self.db.connect().await)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statement}"))
    }

    /// Queues a mail, and returns its identifier.
    async fn queue(&self, mail: Queued<'_>) -> i64 {
        let Queued {
            to,
            event_type,
            delivery_type,
            subject,
            age,
            body_data,
        } = mail;
        let id = self
            .insert(format!(
                "WITH event AS (
                    INSERT INTO domain_events (event_type) VALUES ('{event_type}') RETURNING id)
                 INSERT INTO pending_emails
                    (user_id, event_id, event_type, delivery_type, subject, body_data, created_at, project_id, project_name)
                 SELECT '{to}', id, '{event_type}', '{delivery_type}', '{subject}', '{body_data}'::jsonb,
                        now() - interval '{age} seconds',
                        ('{body_data}'::jsonb ->> 'project_id')::uuid, '{body_data}'::jsonb ->> 'project_name'
                   FROM event
                 RETURNING id::text"
            ))
            .await;
        id.parse().expect("a number")
    }

    /// Adds a webhook endpoint at a path of the receiver, and returns its identifier.
    async fn endpoint(&self, name: &str, channel: &str) -> Uuid {
        let id = self
            .insert(format!(
                "INSERT INTO notification_endpoints (id, name, channel, target, settings)
                 VALUES (gen_random_uuid(), '{name}', '{channel}', 'redacted',
                         jsonb_build_object('url', '{}{name}')::text)
                 RETURNING id::text",
                self.outside.base()
            ))
            .await;
        id.parse().expect("an identifier")
    }

    /// Queues a message to an endpoint, and returns its identifier.
    async fn tell(&self, endpoint: Uuid, title: &str) -> i64 {
        let message = Message {
            title: title.to_owned(),
            ..Message::default()
        };
        let id = self
            .insert(format!(
                "INSERT INTO notification_deliveries
                    (channel, target, recipient, endpoint_id, event_type, message)
                 SELECT channel, 'endpoint:' || id, 'endpoint:' || id, id, 'node_launched', '{}'
                   FROM notification_endpoints WHERE id = '{endpoint}'
                 RETURNING id::text",
                serde_json::to_string(&message).expect("JSON")
            ))
            .await;
        id.parse().expect("a number")
    }

    /// The mails that went out: `to: subject`, in the order of their recipients.
    fn mails(&self) -> Vec<String> {
        let mut mails: Vec<String> = self
            .outside
            .requests()
            .iter()
            .map(|request| {
                let mail = body(request);
                let to = mail["to"].as_str().or_else(|| mail["to"][0].as_str());
                format!(
                    "{}: {}",
                    to.expect("a recipient"),
                    mail["subject"].as_str().expect("a subject")
                )
            })
            .collect();
        mails.sort();
        mails
    }

    /// Where each delivery stands: type, status, attempts, code, reason.
    async fn deliveries(&self) -> Vec<String> {
        self.db
            .texts(
                "SELECT concat_ws(' ', event_type, status, attempts, code, '(' || reason || ')')
                   FROM notification_deliveries ORDER BY id",
            )
            .await
    }

    /// Where each mail stands, and why.
    async fn queue_states(&self) -> Vec<String> {
        self.db
            .texts(
                "SELECT concat_ws(' ', subject || ':', status, status_reason)
                   FROM pending_emails ORDER BY id",
            )
            .await
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

/// Runs a command that prints JSON to its end.
async fn report(command: &mut Command) -> Value {
    let ended = Worker::start(command).end().await;
    assert!(
        matches!(ended.status.code(), Some(0 | 3)),
        "{:?} {}",
        ended.status,
        ended.stderr
    );
    ended.report()
}

/// The counts of a report that are not zero, in short.
fn counts(report: &Value) -> String {
    let counts: Vec<String> = report
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(_, value)| value.as_u64().is_some_and(|count| count > 0))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    counts.join(" ")
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).expect("JSON")
}

/// What Resend answers where it takes a mail.
fn taken() -> Reply {
    answer(200, &[], r#"{"id":"4ef9a417-02e9-4d39-ad75-9611e0fcc33c"}"#)
}

/// A mail that goes out at once.
fn immediate(to: Uuid, subject: &str) -> Queued<'_> {
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
fn aggregated(to: Uuid, subject: &str) -> Queued<'_> {
    Queued {
        event_type: "document_uploaded",
        delivery_type: "aggregated",
        age: 4 * 3_600,
        ..immediate(to, subject)
    }
}
