//! Deliveries, put there without anything that sends.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::TestDatabase;

/// A delivery in the making; what is not said is of no matter.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    channel: &'static str,
    target: String,
    recipient: String,
    user: Option<Uuid>,
    endpoint: Option<Uuid>,
    event: Option<i64>,
    event_type: &'static str,
    status: &'static str,
    attempts: u32,
    columns: Vec<(&'static str, String)>,
}

impl Delivery {
    /// A mail to a person.
    pub(crate) fn mail(user: Uuid) -> Self {
        Self::to("email", "email", &format!("user:{user}"), Some(user), None)
    }

    /// A message to an endpoint that [`TestDatabase::endpoint`] made.
    pub(crate) fn endpoint(channel: &'static str, endpoint: Uuid) -> Self {
        let name = format!("endpoint:{endpoint}");
        Self::to(channel, &name, &name, None, Some(endpoint))
    }

    /// A message to a route of the environment, such as `env:slack`.
    pub(crate) fn route(channel: &'static str) -> Self {
        let name = format!("env:{channel}");
        Self::to(channel, &name, &name, None, None)
    }

    fn to(
        channel: &'static str,
        target: &str,
        recipient: &str,
        user: Option<Uuid>,
        endpoint: Option<Uuid>,
    ) -> Self {
        Self {
            channel,
            target: target.to_owned(),
            recipient: recipient.to_owned(),
            user,
            endpoint,
            event: None,
            event_type: "alert_triggered",
            status: "pending",
            attempts: 0,
            columns: Vec::new(),
        }
    }

    /// Of which event.
    pub(crate) fn of(mut self, event: i64) -> Self {
        self.event = Some(event);
        self
    }

    /// Of an event of which type.
    pub(crate) fn event_type(mut self, event_type: &'static str) -> Self {
        self.event_type = event_type;
        self
    }

    /// Where it stands, after so many attempts.
    pub(crate) fn status(mut self, status: &'static str, attempts: u32) -> Self {
        self.status = status;
        self.attempts = attempts;
        self
    }

    /// Where it ended, so many hours ago, and why.
    pub(crate) fn ended(self, status: &'static str, hours_ago: u32, reason: &str) -> Self {
        self.status(status, 6)
            .with(
                "finished_at",
                &format!("now() - interval '{hours_ago} hours'"),
            )
            .with("reason", &format!("'{}'", reason.replace('\'', "''")))
    }

    /// Another column, as SQL.
    pub(crate) fn with(mut self, column: &'static str, value: &str) -> Self {
        self.columns.push((column, value.to_owned()));
        self
    }
}

impl TestDatabase<'_> {
    /// Inserts a delivery; its identifier comes back.
    pub(crate) async fn delivery(&self, delivery: Delivery) -> i64 {
        let quoted = |value: Option<String>| {
            value.map_or_else(|| "NULL".to_owned(), |value| format!("'{value}'"))
        };
        let (more_columns, more_values): (Vec<_>, Vec<_>) = delivery
            .columns
            .iter()
            .map(|(column, value)| (format!(", {column}"), format!(", {value}")))
            .unzip();
        let statement = format!(
            "INSERT INTO notification_deliveries
                 (channel, target, recipient, user_id, endpoint_id, event_id, event_type, status, attempts {})
             VALUES ('{}', '{}', '{}', {}, {}, {}, '{}', '{}', {} {})
             RETURNING id",
            more_columns.concat(),
            delivery.channel,
            delivery.target,
            delivery.recipient,
            quoted(delivery.user.map(|id| id.to_string())),
            quoted(delivery.endpoint.map(|id| id.to_string())),
            quoted(delivery.event.map(|id| id.to_string())),
            delivery.event_type,
            delivery.status,
            delivery.attempts,
            more_values.concat(),
        );
        sqlx::query_scalar(AssertSqlSafe(statement))
            .fetch_one(&mut self.connect().await)
            .await
            .expect("a delivery")
    }

    /// Inserts an endpoint of a channel under a name.
    pub(crate) async fn endpoint(&self, channel: &str, name: &str) -> Uuid {
        let id = super::id("endpoint", name);
        self.execute(format!(
            "INSERT INTO notification_endpoints (id, name, channel, target, settings)
             VALUES ('{id}', '{name}', '{channel}', '{channel}.example.com/…', '{{}}')"
        ))
        .await;
        id
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
