//! Whoever unsubscribes gets no more of those mails, whatever they preferred before, and keeps
//! everything else.

use std::collections::BTreeSet;

use notify_fan_out::domain::base_url::BaseUrl;
use notify_fan_out::domain::secret_keys::SecretKeys;
use notify_fan_out::unsubscribe::{
    Unsubscribe, UnsubscribeOutcome, UnsubscribeRequest, UnsubscribeScope, apply,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, binary_at, database_at, ends};

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
    let unsubscribe = Unsubscribe::new(base, SecretKeys::parse(&key()).expect("a key"));
    unsubscribe.url(&request(user_id, scope))
}

/// Runs the command with the right keys; what it prints on stdout and stderr comes back.
fn cli(database_url: &str, arguments: &str, code: i32) -> (String, String) {
    let mut command = binary_at(database_url);
    command
        .env("NOTIFY_UNSUBSCRIBE_URL", BASE)
        .env("NOTIFY_UNSUBSCRIBE_KEY", key());
    ends(command, &format!("unsubscribe {arguments}"), code)
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
async fn a_token_or_its_address_unsubscribes_once() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    let address = url(bo, "document_uploaded");
    let (_, token) = address.rsplit_once('/').expect("a token");
    let superuser = db.superuser_url();
    let (printed, _) = cli(&superuser, token, 0);
    let expected = format!("Unsubscribed: {bo} gets no more e-mails of document_uploaded.\n");
    assert_eq!(printed, expected);
    let (again, _) = cli(&superuser, &format!("{address} --format json"), 0);
    assert!(
        again.contains(r#""outcome":"already_unsubscribed""#),
        "{again}"
    );
    let outcome = applied(&db, &request(bo, "*")).await;
    assert_eq!(outcome, UnsubscribeOutcome::Unsubscribed);
    let nobody = applied(&db, &request(Uuid::nil(), "*")).await;
    assert_eq!(nobody, UnsubscribeOutcome::NoSuchPerson);
    assert_eq!(
        preferences(&db, bo).await,
        [
            "global / * / email = muted",
            "global / document_uploaded / email = muted",
        ]
    );
    assert_eq!(db.count("user_notification_preferences").await, 2);
}

#[tokio::test]
async fn what_is_refused_changes_no_preference() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    let superuser = db.superuser_url();
    let address = url(bo, "*");
    let forged = format!("{}A", &address[..address.len() - 1]);
    let invalid = "ERROR invalid unsubscribe token";
    for token in [forged.as_str(), "token", "''"] {
        let (_, error) = cli(&superuser, token, 2);
        assert!(error.contains(invalid), "{error}");
    }
    for (key, why) in [
        ("", "ERROR NOTIFY_UNSUBSCRIBE_KEY: not set"),
        ("hunter2", "ERROR NOTIFY_UNSUBSCRIBE_KEY: key 1"),
        (&"01".repeat(32), invalid),
    ] {
        let mut command = binary_at(&superuser);
        if !key.is_empty() {
            command.env("NOTIFY_UNSUBSCRIBE_URL", BASE);
        }
        command.env("NOTIFY_UNSUBSCRIBE_KEY", key);
        let (_, error) = ends(command, &format!("unsubscribe {address}"), 2);
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // The job does without the right to change what people prefer.
    let (_, error) = cli(&db.url(), &address, 1);
    assert!(error.contains("-v unsubscribe=1"), "{error}");
    assert_eq!(db.count("user_notification_preferences").await, 0);
}

/// Ninety people with different preferences, of whom some unsubscribe.
#[tokio::test]
async fn an_unsubscription_wins_over_whatever_was_preferred_before() {
    const TYPE: &str = "document_uploaded";
    const GRANTED: &str = "project_access_granted";
    let mut random = StdRng::seed_from_u64(8058);
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.people(90).await;
    let acme = world.org("Acme", []).await;
    let atlas = world.project("Atlas", acme).await;
    world.grant(atlas, &people).await;
    for person in &people {
        // One of a place, but for the global ones, which may be there twice.
        let (mut rules, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..random.random_range(0..7) {
            let mut pick = |from: &[&'static str]| *from.choose(&mut random).expect("one");
            let scope = pick(&["global", "project"]);
            let event_type = pick(&[TYPE, GRANTED, "*"]);
            let channel = pick(&["in_app", "email", "*"]);
            let place = format!("{scope} / {event_type} / {channel}");
            let status = pick(&["muted", "digest", "immediate"]);
            if scope == "global" || taken.insert(place.clone()) {
                rules.insert(format!("{place} = {status}"));
            }
        }
        for rule in rules {
            let scope = rule.starts_with("project").then_some(atlas);
            world.prefers(*person, &rule, scope).await;
        }
    }
    world.event(TYPE).project(atlas).await;
    for person in &people {
        let payload = json!({ "affected_user_id": person });
        let event = world.event(GRANTED).project(atlas);
        event.payload(payload).await;
    }
    drop(world);
    let before = db.twin().await;
    for (number, person) in people.iter().enumerate() {
        let scope = match number % 3 {
            0 => TYPE,
            1 => "*",
            _ => continue,
        };
        applied(&db, &request(*person, scope)).await;
    }
    before.run().await;
    db.run().await;
    assert_eq!(db.notifications().await, before.notifications().await);
    let mails = async |db: &TestDatabase<'_>, event_type: &str, part: usize| {
        let people = people.iter().skip(part).step_by(3);
        let ids: Vec<_> = people.map(Uuid::to_string).collect();
        db.texts(&format!(
            "SELECT user_id || ' ' || delivery_type FROM pending_emails
              WHERE event_type = '{event_type}' AND user_id = ANY ('{{{}}}') ORDER BY 1",
            ids.join(",")
        ))
        .await
    };
    let none: [&str; 0] = [];
    for part in 0..3 {
        for event_type in [TYPE, GRANTED] {
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

/// The application keeps its rows unique.
#[tokio::test]
async fn an_unsubscription_wins_over_a_row_that_the_application_writes_meanwhile() {
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
async fn preferences_may_be_a_view() {
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
    let outcomes = [applied(&db, &wanted).await, applied(&db, &wanted).await];
    let [first, again] = [
        UnsubscribeOutcome::Unsubscribed,
        UnsubscribeOutcome::AlreadyUnsubscribed,
    ];
    assert_eq!(outcomes, [first, again]);
    let muted = "global / thread_unread_stale / email = muted";
    assert_eq!(preferences(&db, bo).await, [muted]);
}
