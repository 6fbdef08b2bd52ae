//! `deliver` against real receivers, most of all where it is disturbed: what is queued arrives, at
//! least once, and more than once only where a send was in flight.

mod addresses;
mod answers;
mod cut;
mod in_flight;
mod killed;
mod lost_leases;
mod plans;
mod side_by_side;

use std::process::Command;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::harness::{TestDatabase, id};

/// How long something is waited for before a test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// `deliver` with leave to send to this machine.
fn deliver(db: &TestDatabase<'_>) -> Command {
    let mut command = deliver_to_the_world(db);
    command
        .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
        .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true");
    command
}

/// `deliver` as it is where nobody says otherwise.
fn deliver_to_the_world(db: &TestDatabase<'_>) -> Command {
    let mut command = db.binary();
    command.args(["deliver", "--format", "json"]);
    command
}

/// An endpoint of this name.
async fn endpoint(db: &TestDatabase<'_>, name: &str, channel: &str, url: &str) -> Uuid {
    let id = id("endpoint", name);
    db.execute(format!(
        "INSERT INTO notification_endpoints (id, name, channel, target, settings)
         VALUES ('{id}', '{name}', '{channel}', 'the test', '{{\"url\": \"{url}\"}}')"
    ))
    .await;
    id
}

/// So many messages for an endpoint, each with a number of its own.
async fn queue(db: &TestDatabase<'_>, endpoint: Uuid, messages: usize) {
    db.execute(format!(
        "INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, message)
         SELECT e.channel, t.name, t.name, e.id, 'payment_failed',
                jsonb_build_object('title', 'Payment ' || n || ' failed', 'data', jsonb_build_object('number', n))
           FROM notification_endpoints e, generate_series(1, {messages}) AS n,
                LATERAL (SELECT 'endpoint:' || e.id) AS t (name)
          WHERE e.id = '{endpoint}'"
    ))
    .await;
}

/// Time passes: the leases of senders that are gone have ended.
async fn leases_end(db: &TestDatabase<'_>) {
    db.execute(
        "UPDATE notification_deliveries SET lease_until = now() - interval '1 second' WHERE status = 'sending'",
    )
    .await;
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
