//! Answers that are about the sender's account, or about all messages: rates, quotas, permissions.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{Stage, answer, counts, immediate, report};
use crate::channels::receiver::{Reply, status};
use crate::harness::Worker;

impl Stage {
    /// Queues a text message to each of so many people.
    async fn texts(&self, people: u32) {
        self.db
            .execute(format!(
                "ALTER TABLE profiles ADD COLUMN IF NOT EXISTS phone text;
                 GRANT SELECT (phone) ON profiles TO PUBLIC;
                 WITH person AS (
                     INSERT INTO profiles (id, email, phone)
                     SELECT gen_random_uuid(), n || '@example.com', '+49151' || 1000000 + n FROM generate_series(1, {people}) AS n
                     RETURNING id)
                 INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_type, message)
                 SELECT 'sms', 'sms', 'user:' || id, id, 'alert_triggered', '{{\"title\":\"Spot price\"}}' FROM person"
            ))
            .await;
    }

    /// `deliver` with a provider of text messages, for as long.
    fn texting(&self, max_runtime: &str) -> std::process::Command {
        let mut command = self.bare();
        command
            .args(["--format", "json", "--max-runtime", max_runtime])
            .env(
                "NOTIFY_TWILIO_ACCOUNT_SID",
                "AC0123456789abcdef0123456789abcdef",
            )
            .env("NOTIFY_TWILIO_AUTH_TOKEN", "S3cret")
            .env("NOTIFY_TWILIO_FROM", "+15005550006")
            .env("NOTIFY_TWILIO_BASE_URL", self.outside.base());
        command
    }

    /// What is remembered of the only target.
    async fn target(&self) -> String {
        self.db
            .text(
                "SELECT concat_ws(' ', target, 'failures=' || failures, 'throttled=' || throttled,
                        paused_until > now())
                   FROM notification_delivery_targets",
            )
            .await
    }
}

fn too_many() -> Reply {
    answer(
        429,
        &[],
        r#"{"code":20429,"message":"Too Many Requests","status":429}"#,
    )
}

/// A provider that takes 20 messages a second gets all of them, with little more than one request
/// for each.
#[tokio::test]
async fn a_limited_rate_is_kept_up_with() {
    const PER_SECOND: f64 = 20.0;
    let bucket = Mutex::new((PER_SECOND, Instant::now()));
    let stage = Stage::with(move |_| {
        let mut bucket = bucket.lock().expect("a bucket");
        let (left, since) = *bucket;
        let left = (left + since.elapsed().as_secs_f64() * PER_SECOND).min(PER_SECOND);
        *bucket = ((left - 1.0).max(0.0), Instant::now());
        if left < 1.0 {
            return too_many();
        }
        answer(201, &[], r#"{"sid":"SM1","status":"queued"}"#)
    })
    .await;
    stage.texts(100).await;
    let summary = report(&mut stage.texting("55s")).await;
    assert_eq!(summary["delivered"], 100, "{summary}");
    let requests = stage.outside.count();
    assert!((101..=150).contains(&requests), "{requests}");
    let charged = "SELECT DISTINCT attempts FROM notification_deliveries";
    assert_eq!(stage.db.texts(charged).await, ["1"]);
}

/// Whatever it asks for: no wait at all, a time that has passed, nothing.
#[tokio::test]
async fn whoever_is_throttled_waits_longer_each_time() {
    for headers in [
        &[("retry-after", "0")][..],
        &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")],
        &[],
    ] {
        let stage = Stage::with(move |_| answer(429, headers, r#"{"retry_after":0}"#)).await;
        let room = stage.endpoint("room", "discord").await;
        stage.tell(room, "one").await;
        // The first day is that of its attempts, however long it waited before.
        stage
            .db
            .execute("UPDATE notification_deliveries SET created_at = now() - interval '30 hours'")
            .await;
        let summary = report(
            stage
                .bare()
                .args(["--format", "json", "--max-runtime", "2500ms"]),
        )
        .await;
        assert_eq!(summary["dead"], 0, "{summary}");
        // One at once, one a second later; the next would be due two seconds after that.
        assert_eq!(stage.outside.count(), 2, "{headers:?}");
        let target = stage.target().await;
        assert_eq!(target, format!("endpoint:{room} failures=0 throttled=2 t"));
        let attempts = "SELECT attempts FROM notification_deliveries";
        assert_eq!(stage.db.text(attempts).await, "0");
    }
}

/// No text message dies of a sender that the account does not have.
#[tokio::test]
async fn a_wrong_sender_pauses_the_transport() {
    let wrong = r#"{"code":21606,"message":"The 'From' phone number is not valid","status":400}"#;
    let stage = Stage::with(move |_| answer(400, &[], wrong)).await;
    stage.texts(20).await;
    let summary = report(stage.texting("55s").args(["--per-target", "1"])).await;
    assert_eq!(counts(&summary), "retried=1");
    assert_eq!(stage.target().await, "sms failures=1 throttled=0 t");
}

/// Each answer alone could be about its e-mail; together they are about the account.
#[tokio::test]
async fn refusals_of_everything_open_the_circuit_breaker() {
    let stage = Stage::with(|_| status(422)).await;
    let mut world = stage.db.world().await;
    for n in 0..30 {
        let person: Uuid = world.user(&format!("Person{n}")).await;
        stage.queue(immediate(person, "one")).await;
    }
    let summary = report(
        stage
            .command()
            .args(["--format", "json", "--per-target", "1"]),
    )
    .await;
    assert_eq!(summary["dead"], 5, "{summary}");
    assert_eq!(stage.target().await, "email failures=5 throttled=0 t");
    // Retried, an e-mail is no dead letter while every one is answered like this.
    stage.let_time_pass().await;
    let summary = report(
        stage
            .command()
            .args(["--format", "json", "--per-target", "1"]),
    )
    .await;
    assert_eq!(counts(&summary), "retried=1");
}

/// One recipient's mails are no proof.
#[tokio::test]
async fn refusals_of_one_recipient_do_not() {
    let invalid = r#"{"errors":[{"message":"Does not contain a valid address.","field":"personalizations.0.to.0.email"}]}"#;
    let stage = Stage::with(move |_| answer(400, &[], invalid)).await;
    let mut world = stage.db.world().await;
    for n in 0..10 {
        let person = world.user(&format!("Person{n}")).await;
        stage.queue(immediate(person, "one")).await;
    }
    let mut command = stage.bare();
    command
        .args(["--format", "json", "--per-target", "1"])
        .env("NOTIFY_SENDGRID_API_KEY", "SG.S3cret")
        .env("NOTIFY_SENDGRID_BASE_URL", stage.outside.base())
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    assert_eq!(report(&mut command).await["dead"], 10);
}

/// The lease of a mail outlives the wait for its acceptance; other leases are short, so that what a
/// process leaves behind when it is killed is soon sent.
#[tokio::test]
async fn leases_are_as_long_as_the_attempt_may_take() {
    let held = Arc::new(Semaphore::new(0));
    let stage = Stage::with(move |_| Reply::Held(Arc::clone(&held), Box::new(status(200)))).await;
    let server = crate::channels::mail_failures::Server::silent().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    let hook = stage.endpoint("hook", "webhook").await;
    stage.tell(hook, "two").await;
    let mut command = stage.bare();
    command
        .env("NOTIFY_SMTP_URL", server.address())
        .env("NOTIFY_SMTP_ACCEPTANCE_TIMEOUT", "20m")
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    let worker = Worker::start(&mut command);
    let sending = "SELECT count(*) = 2 FROM notification_deliveries WHERE status = 'sending'";
    stage.db.until(sending).await;
    let leases = "SELECT channel || ' ' || lease_until - leased_at FROM notification_deliveries ORDER BY channel";
    assert_eq!(
        stage.db.texts(leases).await,
        ["email 00:23:00", "webhook 00:01:15"]
    );
    worker.kill();
}

/// A mail server that permits nothing, as one does whose password has expired.
#[tokio::test]
async fn a_relay_that_is_denied_kills_no_mail() {
    let stage = Stage::new().await;
    let server =
        crate::channels::mail_failures::Server::refusing("554 5.7.1 Relay access denied").await;
    let mut world = stage.db.world().await;
    for n in 0..30 {
        let person = world.user(&format!("Person{n}")).await;
        stage.queue(immediate(person, "one")).await;
    }
    let mut command = stage.bare();
    command
        .args(["--format", "json", "--per-target", "1"])
        .env("NOTIFY_SMTP_URL", server.address())
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>");
    let summary = report(&mut command).await;
    assert_eq!(
        (&summary["dead"], &summary["retried"]),
        (&0.into(), &5.into()),
        "{summary}"
    );
    assert_eq!(stage.target().await, "email failures=5 throttled=0 t");
}
