//! What stands between the job and the server falls silent and closes nothing, as a half-open NAT, a
//! dead pooler, a machine without power; or it closes the connection in the place of an answer.

use std::process::Command;

use crate::channels::receiver::{Receiver, answer};
use crate::deliver::with_mails;
use crate::harness::{Delivery, TestDatabase, Worker, binary_at};

/// Falls silent at each message in turn, on a database like this one each time. The command ends,
/// and says why; `then` looks at what a later one makes of the rest.
async fn at_each_message(
    db: &TestDatabase<'static>,
    command: impl Fn(&str) -> Command,
    then: impl AsyncFn(&TestDatabase<'_>),
) {
    let whole = db.twin().await;
    let (proxy, url) = whole.behind_proxy();
    Worker::start(&mut command(&url)).ends(0).await;
    let messages = proxy.asked();
    assert!(messages > 10, "{messages} messages");

    let mut silenced = Vec::new();
    for message in 1..=messages {
        let twin = db.twin().await;
        let (proxy, url) = twin.behind_proxy();
        proxy.fall_silent_from(message);
        let worker = Worker::start(&mut command(&url));
        silenced.push((message, twin, proxy, worker));
    }
    for (message, twin, _proxy, worker) in silenced {
        let ended = worker.ends(4).await;
        let why = "no answer from ";
        assert!(
            ended.stderr.contains(why),
            "at message {message}: {ended:?}"
        );
        then(&twin).await;
    }
}

/// Two events for three people. A twin can be made: nobody is connected.
async fn stage() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(3).await;
    let town = world.thread("Town", &people).await;
    let kickoff = world.meeting("Kick-off", &people).await;
    world.message(town).await;
    world.updated(kickoff).await;
    db
}

async fn assert_all_are_notified_once(db: &TestDatabase<'_>) {
    assert_eq!(db.standings().await, "completed=2");
    assert_eq!(db.count("notifications").await, 6);
}

#[tokio::test]
async fn run_survives_silence_at_each_message() {
    let db = stage().await;
    let run = |url: &str| {
        let mut command = binary_at(url);
        command.env("NOTIFY_FANOUT_STUCK_AFTER", "1s");
        command
    };
    at_each_message(&db, run, async |db| {
        db.claims_grow_old().await;
        db.run().await;
        assert_all_are_notified_once(db).await;
    })
    .await;
}

/// A lost answer strands nothing: neither the claim's, nor that of what was written.
#[tokio::test]
async fn run_survives_a_cut_at_each_message() {
    let db = stage().await;
    // The first opens the connection.
    for message in 2.. {
        let twin = db.twin().await;
        let (proxy, url) = twin.behind_proxy();
        proxy.cut_at(message);
        let worker = Worker::start(binary_at(&url).args(["--format", "json"]));
        worker.ends(0).await;
        assert_all_are_notified_once(&twin).await;
        if proxy.asked() < message {
            break;
        }
    }
}

#[tokio::test]
async fn delivery_survives_silence_at_each_message() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], r#"{"id":"4ef9a417"}"#)).await;
    let bo = db.world().await.user("Bo").await;
    for timing in ["immediate", "aggregated"] {
        db.execute(format!(
            "WITH event AS (INSERT INTO domain_events (event_type) VALUES ('invite_accepted') RETURNING id)
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, created_at)
             SELECT '{bo}', id, 'invite_accepted', '{timing}', 'New', now() - interval '5 h' FROM event"
        ))
        .await;
    }
    db.delivery(Delivery::route("slack").with("message", r#"'{"title": "Payment failed"}'"#))
        .await;
    let deliver = |url: &str| {
        let mut command = with_mails(&db, &receiver.base());
        command
            .env("DATABASE_URL", url)
            .env("NOTIFY_FANOUT_STUCK_AFTER", "1s")
            .env("NOTIFICATIONS_SLACK_WEBHOOK_URL", receiver.base() + "hook");
        command
    };
    at_each_message(&db, deliver, async |db| {
        // Neither lost, nor sent again unseen.
        let ended =
            "notification_deliveries WHERE status NOT IN ('pending', 'sending', 'delivered')";
        assert_eq!(db.count(ended).await, 0);
        let lost = "pending_emails WHERE status NOT IN ('pending', 'processing', 'sent')";
        assert_eq!(db.count(lost).await, 0);
    })
    .await;
}

/// The job's URL, for whoever may migrate.
fn as_owner(db: &TestDatabase<'_>, url: &str) -> String {
    let user = |url: &str| url[..url.find('@').expect("a user")].to_owned();
    url.replacen(&user(url), &user(&db.superuser_url()), 1)
}

fn migrate(url: &str) -> Command {
    let mut command = binary_at(url);
    command
        .arg("migrate")
        .env("NOTIFY_FANOUT_STUCK_AFTER", "2s");
    command
}

#[tokio::test]
async fn migration_ends_at_silence() {
    let db = TestDatabase::empty().await;
    let (proxy, url) = db.behind_proxy();
    let worker = Worker::start(&mut migrate(&as_owner(&db, &url)));
    worker.ends(0).await;
    let messages = proxy.asked();
    let mut silenced = Vec::new();
    for part in 1..=8 {
        let db = TestDatabase::empty().await;
        let (proxy, url) = db.behind_proxy();
        proxy.fall_silent_from(messages * part / 8);
        let worker = Worker::start(&mut migrate(&as_owner(&db, &url)));
        silenced.push((part, db, proxy, worker));
    }
    for (part, _db, _proxy, worker) in silenced {
        let ended = worker.ends(4).await;
        let why = "no answer from ";
        assert!(ended.stderr.contains(why), "{part}: {ended:?}");
    }
}

/// It may take as long as it needs while the server is at it, and ends once it is not.
#[tokio::test]
async fn index_build_may_take_long_and_ends_at_silence() {
    let db = TestDatabase::new().await;
    db.execute("DROP INDEX notifications_coalesce_key").await;
    let (proxy, url) = db.behind_proxy();
    let hold = db
        .hold("LOCK TABLE notifications IN SHARE UPDATE EXCLUSIVE MODE")
        .await;
    let mut worker = Worker::start(&mut migrate(&as_owner(&db, &url)));
    db.until(
        "EXISTS (SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND query LIKE 'CREATE UNIQUE INDEX CONCURRENTLY notifications_coalesce_key%'
            AND state = 'active' AND state_change < now() - interval '5 s')",
    )
    .await;
    assert!(!worker.has_ended());
    proxy.silence_creates();
    hold.release().await;
    db.until("(SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('notifications_coalesce_key'))")
        .await;
    let ended = worker.ends(4).await;
    let why = "no answer from the server, which is not at work any more,";
    assert!(ended.stderr.contains(why), "{ended:?}");
}
