//! The test world can be distinguished from all other data, and removed from it again.

use std::collections::{BTreeMap, BTreeSet};

use notify_fan_out::handlers::EventType;
use notify_fan_out::seed::{SeedFailed, Size, clear, seed};

use crate::harness::{RunCommand as _, TestDatabase, complaint, database_at};

/// Every relation that the seed or what comes of it writes to.
const RELATIONS: [&str; 19] = [
    "profiles",
    "orgs",
    "org_members",
    "projects",
    "project_access_grants",
    "resources",
    "permissions",
    "chat_threads",
    "chat_thread_participants",
    "meetings",
    "meeting_participants",
    "user_notification_preferences",
    "domain_events",
    "notification_processing",
    "notifications",
    "pending_emails",
    "notification_once",
    "notification_deliveries",
    "notification_delivery_guards",
];

/// How many rows were put into each table of the world, and how many events of each type.
async fn put(db: &TestDatabase<'_>, size: Size) -> [BTreeMap<String, i64>; 2] {
    let seeded = seed(&database_at(&db.superuser_url()), size, false).await;
    let seeded = seeded.expect("no error").expect("seeded");
    [seeded.world, seeded.events].map(|counts| {
        counts
            .into_iter()
            .map(|count| (count.name, count.rows))
            .collect()
    })
}

async fn take_away(db: &TestDatabase<'_>) -> i64 {
    let removed = clear(&database_at(&db.superuser_url())).await;
    let removed = removed.expect("cleared");
    removed.iter().map(|count| count.rows).sum()
}

/// All rows of all relations, in full.
async fn everything(db: &TestDatabase<'_>) -> Vec<String> {
    let mut rows = Vec::new();
    for relation in RELATIONS {
        let all = format!("SELECT '{relation} ' || r::text FROM {relation} r ORDER BY 1");
        rows.extend(db.texts(all).await);
    }
    rows
}

fn types(operator: bool) -> BTreeSet<&'static str> {
    let types = EventType::ALL.iter();
    let types = types.filter(|known| known.is_operator() == operator);
    types.map(|known| known.name()).collect()
}

#[tokio::test]
async fn events_show_each_rule() {
    let db = TestDatabase::new().await;
    let [_, events] = put(&db, Size::Small).await;
    let seeded: BTreeSet<_> = events.keys().map(String::as_str).collect();
    assert_eq!(seeded, types(false));
    let report = db.run().await;
    assert_eq!(i64::try_from(report.events), Ok(events.values().sum()));
    assert_eq!(report.failed, 0);
    let titles = db.titles().await;
    for line in [
        "Bruno Keller by mail, aggregated: Chiara Rossi accepted the invitation to Harbor Homes",
        "Bruno Keller: 2 unread in Closing checklist",
        "Chiara Rossi by mail, immediate: Ada Okafor uploaded Appraisal report (final).pdf",
        "Chiara Rossi by mail, aggregated: You have 4 unread messages in Closing checklist",
        "Ada Okafor by mail, immediate: Your borrower resume for Quayside Lofts is 40% complete",
        "Dev Patel by mail, aggregated: Ada Okafor uploaded Appraisal report (final).pdf",
        "Elif Yılmaz: Chiara Rossi uploaded Rent roll.xlsx",
        "Farid Haddad: Ada Okafor uploaded Appraisal report (final).pdf",
        "Grace Lindqvist: Chiara Rossi mentioned you in Closing checklist",
        "Hugo Martín: Ada Okafor changed the time of Kick-off with the lender",
        "Hugo Martín: Bruno Keller removed your access to Mill Street Refinancing",
    ] {
        assert!(titles.contains(line), "{line} in {titles}");
    }
    for line in [
        "Ada Okafor: Ada Okafor",
        "Chiara Rossi: Your project resume",
        "Dev Patel: Ada Okafor uploaded",
        "Dev Patel: Chiara Rossi mentioned",
        "Elif Yılmaz: Ada Okafor uploaded Appraisal",
        "Farid Haddad by mail",
        "Grace Lindqvist: Ada Okafor changed the time",
        "Hugo Martín: 1 unread",
    ] {
        assert!(!titles.contains(line), "{line} in {titles}");
    }
}

#[tokio::test]
async fn operator_events_reach_owners_and_endpoints_and_are_cleared() {
    let db = TestDatabase::new().await;
    db.endpoint("slack", "ops").await;
    let before = everything(&db).await;
    let [_, events] = put(&db, Size::Operator).await;
    let count = u64::try_from(types(true).len()).expect("few");
    assert_eq!(i64::try_from(count), Ok(events.values().sum()));
    // As other systems write it.
    assert_eq!(events.get("payment.failed"), Some(&1));
    let report = db.run().await;
    // Slack receives all of them, and a phone one.
    assert_eq!((report.events, report.deliveries), (count, count + 1));
    let titles = db.titles().await;
    for line in [
        "Bruno Keller by mail, aggregated: Harbor Homes paid EUR 480.00",
        "Chiara Rossi: Alert Occupancy below 90% was triggered",
        "Grace Lindqvist by mail, immediate: Northwind Lending signed up as a new tenant",
    ] {
        assert!(titles.contains(line), "{line} in {titles}");
    }
    assert!(
        !titles.contains("Ada Okafor: Node node-17 was launched"),
        "{titles}"
    );
    put(&db, Size::Operator).await;
    db.run().await;
    assert!(take_away(&db).await > 0);
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn called_again_it_adds_events_and_no_people() {
    let db = TestDatabase::new().await;
    put(&db, Size::Small).await;
    let events = db.run().await.events;
    // Whoever tries things out changes the world; that stays.
    db.execute("UPDATE profiles SET full_name = 'Ada Changed' WHERE full_name = 'Ada Okafor'")
        .await;
    let [world, _] = put(&db, Size::Small).await;
    assert!(world.values().all(|rows| *rows == 0), "{world:?}");
    assert_eq!(db.count("profiles").await, 9);
    let changed = "profiles WHERE full_name = 'Ada Changed'";
    assert_eq!(db.count(changed).await, 1);
    assert_eq!(db.run().await.events, events);
    // A nudge is sent once, ever.
    assert_eq!(db.count("notification_once").await, 1);
}

#[tokio::test]
async fn rows_of_others_are_not_mixed_with_test_data_unasked() {
    let db = TestDatabase::new().await;
    let seed = |arguments: &[&str]| {
        let mut command = db.binary_as_owner();
        command.arg("seed").args(arguments);
        command
    };
    // An empty database, and its own rows.
    for arguments in [&[][..], &["--operator"], &["--clear"]] {
        seed(arguments).prints();
    }
    db.execute(
        "INSERT INTO orgs VALUES (gen_random_uuid(), 'Works');
         INSERT INTO domain_events (event_type) VALUES ('payment_failed')",
    )
    .await;
    let stderr = seed(&[]).fails(2);
    let refused = "in orgs, domain_events; nothing was inserted";
    assert!(complaint(&stderr).contains(refused), "{stderr}");
    assert!(stderr.contains("--yes"), "{stderr}");
    assert_eq!(db.count("domain_events").await, 1);
    // What would insert nothing has nothing to ask.
    seed(&["--if-empty"]).prints();
    seed(&["--yes"]).prints();
    assert!(db.count("domain_events").await > 1);
}

#[tokio::test]
async fn only_if_there_are_no_events() {
    let db = TestDatabase::new().await;
    let database = database_at(&db.superuser_url());
    let first = seed(&database, Size::Small, true).await;
    assert!(first.expect("no error").is_some());
    let second = seed(&database, Size::Small, true).await;
    assert_eq!(second.expect("no error"), None);
    let events = EventType::ALL.len() - types(true).len();
    assert!(db.count("domain_events").await >= u64::try_from(events).expect("few"));
}

#[tokio::test]
async fn clear_leaves_whatever_is_not_the_seeds() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let [acme, atlas] = world.acme([ada]).await;
    let report = world.document("Report", acme, atlas).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    world.meeting("Review", [ada, bo]).await;
    world.grant(atlas, [bo]).await;
    world.permission(report, bo, "view").await;
    world.prefers(bo, "global / * / email = digest", None).await;
    world.message(budget).actor(ada).await;
    world.uploaded(report, atlas).actor(ada).await;
    world.event("an_unknown_type").await;
    world.nudge(ada, atlas, 1).await;
    // Neighbours of the seed's identifiers on either side.
    for neighbour in [
        "5eed5eed-fa11-3fff-bfff-ffffffffffff",
        "5eed5eed-fa11-5000-8000-000000000000",
        "5eed5eed-fa12-4001-8000-000000000001",
    ] {
        db.execute(format!(
            "INSERT INTO profiles VALUES ('{neighbour}', 'near@example.com', NULL);
             INSERT INTO domain_events (event_type, actor_id) VALUES ('near', '{neighbour}')"
        ))
        .await;
    }
    db.run().await;
    let before = everything(&db).await;

    put(&db, Size::Small).await;
    put(&db, Size::Load(500)).await;
    db.run().await;
    // What somebody has made of the seed's world goes with it.
    db.execute(format!(
        "INSERT INTO org_members VALUES ('5eed5eed-fa11-4002-8000-000000000001', '{ada}', 'owner');
         INSERT INTO project_access_grants VALUES ('{atlas}', '5eed5eed-fa11-4001-8000-000000000003');
         INSERT INTO domain_events (event_type, actor_id, project_id)
         VALUES ('document_uploaded', '{ada}', '5eed5eed-fa11-4003-8000-000000000001')"
    ))
    .await;
    // One of the seed's people is notified of an event that is not the seed's: the event stays.
    let event = world.uploaded(report, atlas).actor(ada).await;
    db.run().await;
    let notified = format!("notifications WHERE event_id = {event}");
    assert!(db.count(notified).await > 1);
    db.execute(format!("DELETE FROM domain_events WHERE id = {event}"))
        .await;

    assert!(take_away(&db).await > 1_000);
    assert_eq!(everything(&db).await, before);
    assert_eq!(take_away(&db).await, 0);
}

#[tokio::test]
async fn a_load_is_the_same_each_time() {
    let (one, other) = (TestDatabase::new().await, TestDatabase::new().await);
    for db in [&one, &other] {
        let [_, events] = put(db, Size::Load(1_000)).await;
        assert_eq!(events["chat_message_sent"], 500);
        assert_eq!(events["document_uploaded"], 200);
        assert_eq!((events.values().sum::<i64>(), events.len()), (1_000, 13));
    }
    let content = "SELECT md5(string_agg(to_jsonb(e)::text, '' ORDER BY id))
                     FROM (SELECT id, event_type, actor_id, project_id, org_id, resource_id, thread_id,
                                  meeting_id, payload FROM domain_events) AS e";
    assert_eq!(one.text(content).await, other.text(content).await);
    let report = one.run().await;
    assert_eq!((report.events, report.failed), (1_000, 0));
    assert!(
        report.notifications > 1_000
            && report.merged > 1_000
            && report.emails > 1_000
            && report.suppressed > 100,
        "{report:?}"
    );
    // Whoever sends or is mentioned takes part, or the load would notify nobody.
    let outsiders = "domain_events e WHERE event_type = 'chat_message_sent' AND NOT EXISTS (
        SELECT FROM chat_thread_participants t WHERE t.thread_id = e.thread_id AND t.user_id = e.actor_id)";
    assert_eq!(one.count(outsiders).await, 0);
    assert!(take_away(&one).await > 5_000);
    assert_eq!(everything(&one).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_larger_world_contains_the_smaller() {
    let db = TestDatabase::new().await;
    put(&db, Size::Load(800)).await;
    let small = db.count("profiles").await;
    let [world, _] = put(&db, Size::Load(2_000)).await;
    let people = (small, world["profiles"], db.count("profiles").await);
    assert_eq!(people, (40, 60, 100));
}

/// Puts the seed into a database that was altered, and returns why it can't be; nothing may be left.
async fn refusal(alteration: &str) -> String {
    let db = TestDatabase::new().await;
    db.execute(alteration).await;
    let failed = seed(&database_at(&db.superuser_url()), Size::Small, false).await;
    let failed = failed.expect_err("refused");
    for relation in RELATIONS {
        if db.text(&format!("SELECT to_regclass('{relation}')")).await != "∅" {
            assert_eq!(db.count(relation).await, 0, "{relation}");
        }
    }
    assert!(
        matches!(failed, SeedFailed::Unsuitable(_) | SeedFailed::Refused(_)),
        "{failed}"
    );
    failed.to_string()
}

#[tokio::test]
async fn a_database_that_is_made_otherwise_is_left_as_it_was() {
    insta::assert_snapshot!(refusal(
        "ALTER TABLE profiles RENAME TO people; CREATE VIEW profiles AS SELECT * FROM people",
    ).await, @"the test world can't be put into this database: profiles is a view");
    insta::assert_snapshot!(refusal(
        "ALTER TABLE profiles ADD COLUMN password_hash text NOT NULL; ALTER TABLE orgs ADD COLUMN plan text NOT NULL DEFAULT 'free'",
    ).await, @"the test world can't be put into this database: profiles.password_hash must be filled, and the seed knows nothing of it");
    insta::assert_snapshot!(refusal(
        "CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY);
         ALTER TABLE profiles ADD FOREIGN KEY (id) REFERENCES auth.users",
    ).await, @"the test world can't be put into this database: profiles.id refers to auth.users, which the seed does not fill");
    insta::assert_snapshot!(refusal("ALTER TABLE meetings DROP COLUMN title; DROP TABLE permissions").await, @"the test world can't be put into this database: meetings.title does not exist; permissions does not exist");
    insta::assert_snapshot!(refusal(
        "ALTER TABLE user_notification_preferences ADD CHECK (status <> 'digest')",
    ).await, @r#"the database refused it, and nothing was changed: new row for relation "user_notification_preferences" violates check constraint "user_notification_preferences_status_check1""#);
}

#[tokio::test]
async fn empty_database_has_to_be_migrated_first() {
    let db = TestDatabase::empty().await;
    let failed = seed(&database_at(&db.superuser_url()), Size::Small, true).await;
    assert!(matches!(failed, Err(SeedFailed::NotMigrated)), "{failed:?}");
}

#[tokio::test]
async fn what_still_refers_to_the_seed_keeps_it() {
    let db = TestDatabase::new().await;
    put(&db, Size::Small).await;
    db.execute(
        "CREATE TABLE invoices (org_id uuid REFERENCES orgs);
         INSERT INTO invoices SELECT id FROM orgs LIMIT 1",
    )
    .await;
    let before = everything(&db).await;
    let failed = clear(&database_at(&db.superuser_url())).await;
    assert!(matches!(failed, Err(SeedFailed::Refused(_))), "{failed:?}");
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn view_has_nothing_to_clear() {
    let db = TestDatabase::new().await;
    db.execute(
        "ALTER TABLE profiles RENAME TO people; CREATE VIEW profiles AS SELECT * FROM people",
    )
    .await;
    assert_eq!(take_away(&db).await, 0);
}
