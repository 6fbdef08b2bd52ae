//! Whoever unsubscribes gets no more of those mails, whatever they preferred before, and keeps
//! everything else.

use std::collections::BTreeSet;

use assert_cmd::assert::Assert;
use notify_fan_out::domain::base_url::BaseUrl;
use notify_fan_out::unsubscribe::{
    Keys, Unsubscribe, UnsubscribeOutcome, UnsubscribeRequest, UnsubscribeScope, apply,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, binary_at, database_at};

const BASE: &str = "https://app.example.com/unsubscribe";

fn key() -> String {
    "5a".repeat(32)
}

fn request(user_id: Uuid, scope: &str) -> UnsubscribeRequest {
    UnsubscribeRequest {
        user_id,
        scope: UnsubscribeScope::from(scope),
    }
}

fn url(user_id: Uuid, scope: &str) -> String {
    let base = BaseUrl::parse(BASE).expect("an address");
    let unsubscribe = Unsubscribe::new(base, Keys::parse(&key()).expect("a key"));
    unsubscribe.url(&request(user_id, scope))
}

/// Runs the command with the right keys.
fn cli(database_url: &str, arguments: &[&str]) -> Assert {
    let mut command = binary_at(database_url);
    command
        .arg("unsubscribe")
        .args(arguments)
        .env("NOTIFY_UNSUBSCRIBE_URL", BASE)
        .env("NOTIFY_UNSUBSCRIBE_KEY", key());
    assert_cmd::Command::from_std(command).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8")
}

async fn applied(db: &TestDatabase<'_>, request: &UnsubscribeRequest) -> UnsubscribeOutcome {
    let database = database_at(&db.superuser_url());
    let mut session = database.connect().await.expect("a connection");
    let outcome = apply(&mut session, request).await;
    session.close().await.expect("goodbye");
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// A person's preferences, as `explain` writes them.
async fn preferences(db: &TestDatabase<'_>, user_id: Uuid) -> Vec<String> {
    db.texts(&format!(
        "SELECT concat_ws(' / ', scope_type, event_type, channel) || ' = ' || status
           FROM user_notification_preferences WHERE user_id = '{user_id}' ORDER BY 1"
    ))
    .await
}

#[tokio::test]
async fn by_token_or_address_and_again() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    let address = url(bo, "document_uploaded");
    let (_, token) = address.rsplit_once('/').expect("a token");
    let superuser = db.superuser_url();
    let printed = stdout(&cli(&superuser, &[token]).success());
    assert_eq!(
        printed,
        format!("Unsubscribed: {bo} gets no more e-mails of document_uploaded.\n")
    );
    let json = stdout(&cli(&superuser, &[&address, "--format", "json"]).success());
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let expected = json!({
        "user_id": bo,
        "event_type": "document_uploaded",
        "outcome": "already_unsubscribed",
    });
    assert_eq!(json, expected);
    assert_eq!(
        preferences(&db, bo).await,
        ["global / document_uploaded / email = muted"]
    );
    assert_eq!(
        applied(&db, &request(bo, "*")).await,
        UnsubscribeOutcome::Unsubscribed
    );
    assert_eq!(
        preferences(&db, bo).await,
        [
            "global / * / email = muted",
            "global / document_uploaded / email = muted",
        ]
    );
    let nobody = request(Uuid::nil(), "*");
    assert_eq!(
        applied(&db, &nobody).await,
        UnsubscribeOutcome::NoSuchPerson
    );
    assert_eq!(
        db.count("user_notification_preferences").await,
        2,
        "nothing for nobody"
    );
}

#[tokio::test]
async fn what_is_refused() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    let address = url(bo, "*");
    let forged = format!("{}A", &address[..address.len() - 1]);
    for token in [forged.as_str(), "token", ""] {
        let printed = stderr(&cli(&db.superuser_url(), &[token]).code(2));
        assert!(
            printed.contains("ERROR invalid unsubscribe token"),
            "{printed}"
        );
    }
    let other_key = |variables: &[(&str, String)]| {
        let mut command = binary_at(&db.superuser_url());
        command.args(["unsubscribe", &address]);
        for (name, value) in variables {
            command.env(name, value);
        }
        stderr(&assert_cmd::Command::from_std(command).assert().code(2))
    };
    let base = ("NOTIFY_UNSUBSCRIBE_URL", BASE.to_owned());
    let key = |text: &str| ("NOTIFY_UNSUBSCRIBE_KEY", text.to_owned());
    assert!(other_key(&[]).contains("ERROR NOTIFY_UNSUBSCRIBE_KEY: not set"));
    let printed = other_key(&[base.clone(), key("hunter2")]);
    assert!(
        printed.contains("ERROR NOTIFY_UNSUBSCRIBE_KEY: key 1") && !printed.contains("hunter2"),
        "{printed}"
    );
    let printed = other_key(&[base, key(&"01".repeat(32))]);
    assert!(
        printed.contains("ERROR invalid unsubscribe token"),
        "{printed}"
    );
    // The job does without the right to change what people prefer.
    let printed = stderr(&cli(&db.url(), &[&address]).code(1));
    assert!(printed.contains("-v unsubscribe=1"), "{printed}");
    assert_eq!(db.count("user_notification_preferences").await, 0);
}

/// Ninety people with different preferences, of whom some unsubscribe.
#[tokio::test]
async fn whatever_was_preferred_before() {
    const TYPE: &str = "document_uploaded";
    let mut random = StdRng::seed_from_u64(8058);
    let db = TestDatabase::new().await;
    let (people, granted) = {
        let mut world = db.world().await;
        let people = world.people(90).await;
        let acme = world.org("Acme", []).await;
        let atlas = world.project("Atlas", acme).await;
        world.grant(atlas, &people).await;
        for person in &people {
            let mut rules = BTreeSet::new();
            for _ in 0..random.random_range(0..7) {
                let mut pick = |from: &[&'static str]| *from.choose(&mut random).expect("one");
                let scope = pick(&["global", "project"]);
                let event_type = pick(&[TYPE, "project_access_granted", "*"]);
                let place = format!(
                    "{scope} / {event_type} / {}",
                    pick(&["in_app", "email", "*"])
                );
                let status = pick(&["muted", "digest", "immediate"]);
                rules.insert((place, status));
            }
            // One of a place, but for the global ones, which may be there twice.
            let mut taken = BTreeSet::new();
            for (place, status) in rules {
                let scope = place.starts_with("project").then_some(atlas);
                if scope.is_none() || taken.insert(place.clone()) {
                    world
                        .prefers(*person, &format!("{place} = {status}"), scope)
                        .await;
                }
            }
        }
        world.event(TYPE).project(atlas).await;
        for person in &people {
            let payload = json!({ "affected_user_id": person });
            let event = world.event("project_access_granted").project(atlas);
            event.payload(payload).await;
        }
        let granted = "project_access_granted";
        (people, granted)
    };
    let before = db.twin().await;
    for (number, person) in people.iter().enumerate() {
        let scope = match number % 3 {
            0 => TYPE,
            1 => "*",
            _ => continue,
        };
        applied(&db, &request(*person, scope)).await;
        assert_eq!(
            applied(&db, &request(*person, scope)).await,
            UnsubscribeOutcome::AlreadyUnsubscribed
        );
    }
    before.run().await;
    db.run().await;
    assert_eq!(db.notifications().await, before.notifications().await);
    let mails = async |db: &TestDatabase<'_>, event_type: &str, part: usize| {
        let ids: Vec<_> = people
            .iter()
            .skip(part)
            .step_by(3)
            .map(Uuid::to_string)
            .collect();
        db.texts(&format!(
            "SELECT user_id || ' ' || delivery_type FROM pending_emails
              WHERE event_type = '{event_type}' AND user_id = ANY ('{{{}}}') ORDER BY 1",
            ids.join(",")
        ))
        .await
    };
    let none: [&str; 0] = [];
    for part in 0..3 {
        for event_type in [TYPE, granted] {
            let was = mails(&before, event_type, part).await;
            let is = mails(&db, event_type, part).await;
            assert!(was.len() > 5, "nobody would have been mailed");
            match (part, event_type) {
                (0, TYPE) | (1, _) => assert_eq!(is, none, "part {part}, {event_type}"),
                _ => assert_eq!(is, was, "part {part}, {event_type}"),
            }
        }
    }
}

#[tokio::test]
async fn many_at_once_leave_one_row() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    let wanted = request(bo, "*");
    let outcomes = futures_util::future::join_all((0..8).map(|_| applied(&db, &wanted))).await;
    let first = outcomes
        .iter()
        .filter(|outcome| **outcome == UnsubscribeOutcome::Unsubscribed);
    assert_eq!(first.count(), 1);
    assert_eq!(preferences(&db, bo).await, ["global / * / email = muted"]);
}

/// An application that keeps its rows unique, and writes one at the same moment.
#[tokio::test]
async fn beside_the_application() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    db.execute(
        "CREATE UNIQUE INDEX ON user_notification_preferences (user_id, scope_type,
            coalesce(scope_id, '00000000-0000-0000-0000-000000000000'), event_type, channel)",
    )
    .await;
    let hold = db
        .hold(&format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{bo}', 'global', '*', 'email', 'immediate')"
        ))
        .await;
    let wanted = request(bo, "*");
    let (outcome, ()) = tokio::join!(applied(&db, &wanted), async {
        db.until_waiting(1).await;
        hold.release().await;
    });
    assert_eq!(outcome, UnsubscribeOutcome::Unsubscribed);
    assert_eq!(preferences(&db, bo).await, ["global / * / email = muted"]);
}

#[tokio::test]
async fn preferences_behind_a_view() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    db.execute(
        "ALTER TABLE user_notification_preferences RENAME TO preferences;
         ALTER TABLE preferences ADD COLUMN id bigserial, ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
         CREATE VIEW user_notification_preferences AS
            SELECT user_id, scope_type, scope_id, event_type, channel, status FROM preferences",
    )
    .await;
    let wanted = request(bo, "thread_unread_stale");
    assert_eq!(
        applied(&db, &wanted).await,
        UnsubscribeOutcome::Unsubscribed
    );
    assert_eq!(
        applied(&db, &wanted).await,
        UnsubscribeOutcome::AlreadyUnsubscribed
    );
    assert_eq!(
        preferences(&db, bo).await,
        ["global / thread_unread_stale / email = muted"]
    );
}
