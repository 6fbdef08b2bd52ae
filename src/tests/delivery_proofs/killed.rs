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
    let db = &stage.db;
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

    let (kills, rounds) = kill_until_nothing_waits(&stage, &mails).await;
    assert_eq!(counts(&mut command(&stage, &mails)).await, "");
    let (delivered, repeats) = assert_all_arrived(&stage, &mails, &kills).await;
    let uncertain = assert_no_chat_came_twice(&stage, &kills).await;
    assert_every_attempt_is_logged(db, &kills, &delivered).await;
    let in_flight: usize = delivered.iter().map(|key| kills.of(key)).sum();
    eprintln!(
        "{rounds} kills, {in_flight} webhooks and mails in flight at them, {repeats} came again; {uncertain} chats wait for a person"
    );
    assert!(rounds > 10 && in_flight > 10 && uncertain > 0);
}

/// The leases that were lost, by the keys of their deliveries. (Who is killed before it has rescued leaves
/// what the one before has left: a lease is lost once.)
#[derive(Default)]
struct Kills(BTreeMap<String, BTreeSet<String>>);

impl Kills {
    fn of(&self, key: &str) -> usize {
        self.0.get(key).map_or(0, BTreeSet::len)
    }
}

async fn kill_until_nothing_waits(stage: &Stage, mails: &Mails) -> (Kills, usize) {
    let (db, receiver) = (&stage.db, &stage.outside);
    let mut random = StdRng::seed_from_u64(rand::random());
    let (mut kills, mut rounds) = (Kills::default(), 0);
    let deliveries = "notification_deliveries WHERE status IN ('pending', 'sending')";
    let queued = "pending_emails WHERE status = 'pending'";
    while db.count(deliveries).await > 0 || db.count(queued).await > 0 {
        rounds += 1;
        assert!(rounds < ROUNDS, "it does not come forward");
        let mut worker = start(&mut command(stage, mails));
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
        let leases = "SELECT key || ' ' || lease_token FROM notification_deliveries WHERE status = 'sending'";
        for lease in db.texts(leases).await {
            let (key, token) = lease.split_once(' ').expect("two words");
            let tokens = kills.0.entry(key.to_owned()).or_default();
            tokens.insert(token.to_owned());
        }
        leases_end(db).await;
    }
    (kills, rounds)
}

/// Webhooks and mails: all of them and no others, a copy for each kill at most, and each like the others.
/// Returns their keys, and how many copies came again.
async fn assert_all_arrived(
    stage: &Stage,
    mails: &Mails,
    kills: &Kills,
) -> (BTreeSet<String>, usize) {
    let db = &stage.db;
    let mut arrived = webhooks(&stage.outside);
    arrived.append(&mut mails.arrived());
    let delivered =
        "SELECT key FROM notification_deliveries WHERE status = 'delivered' AND channel <> 'slack'";
    let delivered: BTreeSet<_> = db.texts(delivered).await.into_iter().collect();
    assert_eq!(delivered.len() as u64, WEBHOOKS + u64::from(MAILS));
    assert!(arrived.keys().eq(&delivered));
    let sent = "pending_emails WHERE status = 'sent'";
    assert_eq!(db.count(sent).await, u64::from(MAILS));
    let mut repeats = 0;
    for (key, copies) in &arrived {
        let lost = kills.of(key);
        assert!(copies.len() <= 1 + lost, "{lost} kills: {copies:#?}");
        assert!(copies.iter().all(|one| *one == copies[0]), "{copies:#?}");
        repeats += copies.len() - 1;
    }
    (delivered, repeats)
}

/// One that was in flight waits for a person. Returns how many do.
async fn assert_no_chat_came_twice(stage: &Stage, kills: &Kills) -> usize {
    let mut rooms = BTreeMap::<String, usize>::new();
    for request in stage.outside.requests() {
        if request.path.starts_with("/room") {
            *rooms.entry(request.path).or_default() += 1;
        }
    }
    assert!(rooms.values().all(|times| *times == 1), "{rooms:?}");
    let chats = "SELECT key || ' ' || status FROM notification_deliveries WHERE channel = 'slack'";
    let mut uncertain = 0;
    for chat in stage.db.texts(chats).await {
        let (key, status) = chat.split_once(' ').expect("two words");
        let was_in_flight = kills.of(key) > 0;
        let expected = ["delivered", "uncertain"][usize::from(was_in_flight)];
        assert_eq!(status, expected, "{key}");
        uncertain += usize::from(was_in_flight);
    }
    assert!(rooms.len() >= ROOMS - uncertain);
    uncertain
}

/// In their order.
async fn assert_every_attempt_is_logged(
    db: &TestDatabase<'_>,
    kills: &Kills,
    delivered: &BTreeSet<String>,
) {
    let log = "SELECT d.key || ' ' || string_agg(a.outcome, ' ' ORDER BY a.id)
                 FROM notification_deliveries d
                 JOIN (SELECT *, row_number() OVER (PARTITION BY delivery_id ORDER BY id) AS number
                         FROM notification_delivery_attempts) AS a ON a.delivery_id = d.id
                GROUP BY d.key
               HAVING bool_and(a.attempt = a.number)";
    let log = db.texts(log).await;
    assert_eq!(log.len(), delivered.len() + ROOMS);
    for line in &log {
        let (key, outcomes) = line.split_once(' ').expect("two words");
        let lost = kills.of(key);
        let mut expected = vec!["lost"; lost];
        if delivered.contains(key) || lost == 0 {
            expected.push("delivered");
        }
        assert_eq!(outcomes, expected.join(" "), "{key}");
    }
}
