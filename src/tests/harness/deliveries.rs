//! Deliveries, put there without anything that sends.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::TestDatabase;

/// A delivery in the making: its columns and their values, as SQL.
#[derive(Debug, Clone)]
pub(crate) struct Delivery(BTreeMap<&'static str, String>);

impl Delivery {
    /// A mail to a person.
    pub(crate) fn mail(user: Uuid) -> Self {
        Self::to("email", "email", &format!("user:{user}")).with("user_id", &format!("'{user}'"))
    }

    /// A text message to a person.
    pub(crate) fn sms(user: Uuid) -> Self {
        Self::to("sms", "sms", &format!("user:{user}")).with("user_id", &format!("'{user}'"))
    }

    /// A message to an endpoint.
    pub(crate) fn endpoint(channel: &str, endpoint: Uuid) -> Self {
        let name = format!("endpoint:{endpoint}");
        Self::to(channel, &name, &name).with("endpoint_id", &format!("'{endpoint}'"))
    }

    /// A message to a route of the environment, such as `env:slack`.
    pub(crate) fn route(channel: &str) -> Self {
        let name = format!("env:{channel}");
        let target = if channel == "email" { channel } else { &name };
        Self::to(channel, target, &name)
    }

    fn to(channel: &str, target: &str, recipient: &str) -> Self {
        Self(BTreeMap::new())
            .with("channel", &format!("'{channel}'"))
            .with("target", &format!("'{target}'"))
            .with("recipient", &format!("'{recipient}'"))
            .event_type("alert_triggered")
    }

    /// Of which event.
    pub(crate) fn of(self, event: i64) -> Self {
        self.with("event_id", &event.to_string())
    }

    /// Of an event of which type.
    pub(crate) fn event_type(self, event_type: &str) -> Self {
        self.with("event_type", &format!("'{event_type}'"))
    }

    /// What it says.
    pub(crate) fn says(self, title: &str) -> Self {
        self.with("message", &format!(r#"'{{"title": "{title}"}}'"#))
    }

    /// Where it stands, after so many attempts.
    pub(crate) fn status(self, status: &str, attempts: u32) -> Self {
        self.with("status", &format!("'{status}'"))
            .with("attempts", &attempts.to_string())
    }

    /// Where it ended, so many hours ago, and why.
    pub(crate) fn ended(self, status: &str, hours_ago: u32, reason: &str) -> Self {
        self.status(status, 6)
            .with(
                "finished_at",
                &format!("now() - interval '{hours_ago} hours'"),
            )
            .with("reason", &format!("'{}'", reason.replace('\'', "''")))
    }

    /// Another column, as SQL.
    pub(crate) fn with(mut self, column: &'static str, value: &str) -> Self {
        self.0.insert(column, value.to_owned());
        self
    }
}

impl TestDatabase<'_> {
    /// Inserts a delivery; its identifier comes back.
    pub(crate) async fn delivery(&self, delivery: Delivery) -> i64 {
        let (columns, values): (Vec<_>, Vec<_>) = delivery.0.into_iter().unzip();
        let statement = format!(
            "INSERT INTO notification_deliveries ({}) VALUES ({}) RETURNING id",
            columns.join(", "),
            values.join(", "),
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&mut self.connect().await)
            .await
            .expect("a delivery")
    }

    /// Inserts an endpoint of a channel under a name, which leads nowhere.
    pub(crate) async fn endpoint(&self, channel: &str, name: &str) -> Uuid {
        self.endpoint_with(channel, name, "{}").await
    }

    /// Inserts an endpoint that leads to an address.
    pub(crate) async fn endpoint_at(&self, channel: &str, name: &str, url: &str) -> Uuid {
        self.endpoint_with(channel, name, &format!(r#"{{"url": "{url}"}}"#))
            .await
    }

    async fn endpoint_with(&self, channel: &str, name: &str, settings: &str) -> Uuid {
        let id = super::id("endpoint", name);
        self.execute(format!(
            "INSERT INTO notification_endpoints (id, name, channel, target, settings)
             VALUES ('{id}', '{name}', '{channel}', '{channel}.example.com/…', '{settings}')"
        ))
        .await;
        id
    }

    /// Queues so many messages for an endpoint, each with a number of its own.
    pub(crate) async fn queue(&self, endpoint: Uuid, messages: u64) {
        self.execute(format!(
            "INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, message)
             SELECT e.channel, t.name, t.name, e.id, 'payment_failed',
                    jsonb_build_object('title', 'Payment ' || n || ' failed', 'data', jsonb_build_object('number', n))
               FROM notification_endpoints e, generate_series(1, {messages}) AS n,
                    LATERAL (SELECT 'endpoint:' || e.id) AS t (name)
              WHERE e.id = '{endpoint}'"
        ))
        .await;
    }

    /// Inserts an attempt on a delivery.
    pub(crate) async fn attempt(&self, delivery: i64, attempt: u32, outcome: &str, error: &str) {
        self.execute(format!(
            "INSERT INTO notification_delivery_attempts
                 (delivery_id, attempt, transport, started_at, duration_ms, outcome, status, code, error, answer)
             VALUES ({delivery}, {attempt}, 'webhook', timestamptz '2026-01-02T03:04:05Z' + {attempt} * interval '1 minute',
                     250, '{outcome}', 503, 'unavailable', nullif('{error}', ''), 'try later')"
        ))
        .await;
    }

    /// Queues a mail of an event to a person, in a delivery or not yet.
    pub(crate) async fn queued_mail(
        &self,
        event: i64,
        user: Uuid,
        status: &str,
        delivery: Option<i64>,
    ) {
        let delivery = delivery.map_or_else(|| "NULL".to_owned(), |id| id.to_string());
        self.execute(format!(
            "INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, status, delivery_id)
             VALUES ('{user}', {event}, 'invite_accepted', 'immediate', 'Ada accepted', '{status}', {delivery})"
        ))
        .await;
    }
}
