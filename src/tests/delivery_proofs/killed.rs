//! kill -9 of the sender.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::{leases_end, until};
use crate::channels::mail::Servers;
use crate::channels::receiver::{Receiver, Request};
use crate::deliver::{Stage, counts, start};
use crate::harness::TestDatabase;

const WEBHOOKS: u64 = 300;
const HOOKS: u64 = 6;
const ROOMS: usize = 60;
const MAILS: u32 = 60;
/// Rounds in which nothing more would mean that it does not come forward.
const ROUNDS: usize = 300;

/// What arrived, by the key that the outside knows it by: all copies, without what may differ.
type Arrived = BTreeMap<String, Vec<String>>;

/// A mail server of others, and what it took.
struct Mails {
    taken: Arc<Mutex<Vec<Value>>>,
    url: String,
}

impl Mails {
    async fn start() -> Self {
        let mut servers = Servers::start().await;
        let url = servers.address("smtp", "", "open", "?tls=none&hello=app.example");
        let taken = Arc::<Mutex<Vec<Value>>>::default();
        let received = Arc::clone(&taken);
        tokio::spawn(async move {
            while let Some(mail) = servers.program.next_if_any().await {
                received.lock().expect("mails").push(mail);
            }
        });
        Self { taken, url }
    }

    fn count(&self) -> usize {
        self.taken.lock().expect("mails").len()
    }

    /// By the delivery's key, which the Message-ID begins with.
    fn arrived(&self) -> Arrived {
        let mut arrived = Arrived::new();
        for mail in self.taken.lock().expect("mails").iter() {
            let headers = mail["headers"].as_array().expect("headers");
            let id = headers.iter().find(|header| header[0] == "Message-ID");
            let id = id.expect("a name")[1].as_str().expect("a text");
            let key = id[1..].split('.').next().expect("a key").to_owned();
            // A date is that of the attempt, and boundaries are drawn.
            let same = headers
                .iter()
                .filter(|header| header[0] != "Date" && header[0] != "Content-Type");
            let copy = format!(
                "{:?} {} {} {}",
                same.collect::<Vec<_>>(),
                mail["to"],
                mail["text"],
                mail["html"]
            );
            arrived.entry(key).or_default().push(copy);
        }
        arrived
    }
}

/// People, each with a mail that waits.
async fn queue_mails(db: &TestDatabase<'_>) {
    let mut world = db.world().await;
    world.people(MAILS.cast_signed()).await;
    world
        .execute(
            "INSERT INTO domain_events (id, event_type) VALUES (1, 'old');
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, body_data)
             SELECT id, 1, 'meeting_updated', 'immediate', 'For ' || full_name, '{}' FROM profiles",
        )
        .await;
}

fn webhooks(receiver: &Receiver) -> Arrived {
    let mut arrived = Arrived::new();
    for Request {
        path,
        headers,
        body,
        ..
    } in receiver.requests()
    {
        if path.starts_with("/hook") {
            let key = headers["webhook-id"].clone();
            let copy = format!("{path} {}", String::from_utf8_lossy(&body));
            arrived.entry(key).or_default().push(copy);
        }
    }
    arrived
}

fn command(stage: &Stage, mails: &Mails) -> Command {
    // No timeout is shorter than the test's.
    let schedule = vec!["1s"; 50].join(",");
    let mut command = stage.bare();
    command
        .env("NOTIFY_SMTP_URL", &mails.url)
        .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>")
        .env("NOTIFY_DELIVERY_RETRY_SCHEDULE", &schedule)
        .env("NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE", &schedule);
    command
}

/// Dozens of times, after a random number of messages that arrived or were recorded. In the end each
/// message has arrived. Those that arrived more than once were in flight at a kill, as often as
/// that, and the log says so. Where a second copy would not be known, none is sent: a person decides.
#[tokio::test]
async fn killed_at_random_instants() {
    let stage = Stage::new().await;
    let (db, receiver) = (&stage.db, &stage.outside);
    let mails = Mails::start().await;
    for hook in 0..HOOKS {
        let id = stage.endpoint("webhook", &format!("hook {hook}")).await;
        db.queue(id, WEBHOOKS / HOOKS).await;
    }
    for room in 0..ROOMS {
        let id = stage.endpoint("slack", &format!("room {room}")).await;
        db.queue(id, 1).await;
    }
    // In any order.
    db.execute(
        "UPDATE notification_deliveries SET next_attempt_at = now() - random() * interval '1 h'",
    )
    .await;
    queue_mails(db).await;

    let mut random = StdRng::seed_from_u64(rand::random());
    let (mut kills, mut rounds) = (BTreeMap::<String, BTreeSet<String>>::new(), 0);
    while db
        .count("notification_deliveries WHERE status IN ('pending', 'sending')")
        .await
        > 0
        || db.count("pending_emails WHERE status = 'pending'").await > 0
    {
        rounds += 1;
        assert!(rounds < ROUNDS, "it does not come forward");
        let mut worker = start(&mut command(&stage, &mails));
        let more = random.random_range(0..25);
        if random.random_bool(0.5) {
            let enough = receiver.count() + mails.count() + more;
            until("so many messages", || {
                receiver.count() + mails.count() >= enough || worker.has_ended()
            })
            .await;
        } else {
            let recorded = "notification_delivery_attempts WHERE outcome = 'delivered'";
            let enough = db.count(recorded).await + more as u64;
            while db.count(recorded).await < enough && !worker.has_ended() {}
        }
        worker.kill();
        db.until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out')")
            .await;
        // Who is killed before it has rescued leaves what the one before has left: a lease is lost once.
        for lease in db
            .texts("SELECT key || ' ' || lease_token FROM notification_deliveries WHERE status = 'sending'")
            .await
        {
            let (key, token) = lease.split_once(' ').expect("two words");
            let tokens = kills.entry(key.to_owned()).or_default();
            tokens.insert(token.to_owned());
        }
        leases_end(db).await;
    }
    assert_eq!(counts(&mut command(&stage, &mails)).await, "");

    // Webhooks and mails: all of them, and no other than these.
    let mut arrived = webhooks(receiver);
    arrived.append(&mut mails.arrived());
    let delivered: BTreeSet<String> = db
        .texts("SELECT key FROM notification_deliveries WHERE status = 'delivered' AND channel <> 'slack'")
        .await
        .into_iter()
        .collect();
    assert_eq!(delivered.len() as u64, WEBHOOKS + u64::from(MAILS));
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), delivered);
    let sent = "pending_emails WHERE status = 'sent'";
    assert_eq!(db.count(sent).await, u64::from(MAILS));
    // A copy for each kill at most, and each like the others.
    let (mut repeats, mut in_flight) = (0, 0);
    for (key, messages) in &arrived {
        let lost = kills.get(key).map_or(0, BTreeSet::len);
        assert!(messages.len() <= 1 + lost, "{lost} kills: {messages:#?}");
        assert!(
            messages.iter().all(|one| *one == messages[0]),
            "{messages:#?}"
        );
        repeats += messages.len() - 1;
        in_flight += lost;
    }
    // Chats: one that was in flight waits for a person, and none came twice.
    let mut rooms = BTreeMap::<String, usize>::new();
    for request in receiver.requests() {
        if request.path.starts_with("/room") {
            *rooms.entry(request.path).or_default() += 1;
        }
    }
    assert!(rooms.values().all(|times| *times == 1), "{rooms:?}");
    let chats = db
        .texts("SELECT key || ' ' || status FROM notification_deliveries WHERE channel = 'slack'")
        .await;
    let mut uncertain = 0;
    for chat in &chats {
        let (key, status) = chat.split_once(' ').expect("two words");
        let is_uncertain = kills.contains_key(key);
        let expected = ["delivered", "uncertain"][usize::from(is_uncertain)];
        assert_eq!(status, expected, "{key}");
        uncertain += usize::from(is_uncertain);
    }
    assert!(rooms.len() >= ROOMS - uncertain);
    // The log has an attempt for each of these, in their order.
    let log = db
        .texts(
            "SELECT d.key || ' ' || string_agg(a.outcome, ' ' ORDER BY a.id)
               FROM notification_deliveries d
               JOIN (SELECT *, row_number() OVER (PARTITION BY delivery_id ORDER BY id) AS number
                       FROM notification_delivery_attempts) AS a ON a.delivery_id = d.id
              GROUP BY d.key
             HAVING bool_and(a.attempt = a.number)",
        )
        .await;
    assert_eq!(log.len(), delivered.len() + ROOMS);
    for line in &log {
        let (key, outcomes) = line.split_once(' ').expect("two words");
        let lost = kills.get(key).map_or(0, BTreeSet::len);
        let mut expected = vec!["lost"; lost];
        if delivered.contains(key) || lost == 0 {
            expected.push("delivered");
        }
        assert_eq!(outcomes, expected.join(" "), "{key}");
    }
    eprintln!(
        "{rounds} kills, {in_flight} webhooks and mails in flight at them, {repeats} came again; {uncertain} chats wait for a person"
    );
    assert!(rounds > 10 && in_flight > 10 && uncertain > 0);
}
