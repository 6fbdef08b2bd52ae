//! The test world can be told from anybody's own data, and taken away from it again.

use std::collections::BTreeMap;

use notify_fan_out::seed::{Count, SeedFailed, Size, clear, seed};

use crate::harness::{TestDatabase, binary_at, complaint, database_at};

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

async fn put(db: &TestDatabase<'_>, size: Size) -> BTreeMap<String, i64> {
    let seeded = seed(&database_at(&db.superuser_url()), size, false)
        .await
        .expect("seeded")
        .expect("seeded");
    seeded
        .events
        .into_iter()
        .map(|count| (count.name, count.rows))
        .collect()
}

async fn take_away(db: &TestDatabase<'_>) -> i64 {
    let removed = clear(&database_at(&db.superuser_url()))
        .await
        .expect("cleared");
    removed.iter().map(|count| count.rows).sum()
}

/// All rows of all relations, in full.
async fn everything(db: &TestDatabase<'_>) -> Vec<String> {
    let mut rows = Vec::new();
    for relation in RELATIONS {
        rows.extend(
            db.texts(&format!(
                "SELECT '{relation} ' || r::text FROM {relation} r ORDER BY 1"
            ))
            .await,
        );
    }
    rows
}

#[tokio::test]
async fn sixteen_events_show_each_rule() {
    let db = TestDatabase::new().await;
    let events = put(&db, Size::Small).await;
    assert_eq!((events.values().sum::<i64>(), events.len()), (16, 13));
    assert_eq!(
        events
            .iter()
            .filter(|&(_, &rows)| rows == 2)
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        [
            "chat_message_sent",
            "document_uploaded",
            "resume_incomplete_nudge"
        ],
    );
    let report = db.run().await;
    assert_eq!(
        (report.events, report.failed, report.suppressed),
        (16, 0, 11)
    );
    insta::assert_snapshot!(db.titles().await, @r"
    Ada Okafor by mail, aggregated: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Ada Okafor by mail, immediate: Your borrower resume for Quayside Lofts is 0% complete (project Quayside Lofts Quayside Lofts)
    Ada Okafor by mail, immediate: ines.duarte@example.org accepted the invitation to Harbor Homes
    Ada Okafor: 1 unread in Closing checklist · Quayside Lofts
    Ada Okafor: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts
    Ada Okafor: Your borrower resume for Quayside Lofts is 0% complete
    Ada Okafor: ines.duarte@example.org accepted the invitation to Harbor Homes
    Bruno Keller by mail, aggregated: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Bruno Keller by mail, aggregated: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Bruno Keller by mail, aggregated: ines.duarte@example.org accepted the invitation to Harbor Homes
    Bruno Keller: 2 unread in Closing checklist · Quayside Lofts
    Bruno Keller: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
    Bruno Keller: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts
    Bruno Keller: ines.duarte@example.org accepted the invitation to Harbor Homes
    Chiara Rossi by mail, aggregated: You have 3 unread messages in Closing checklist · Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Chiara Rossi by mail, immediate: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Chiara Rossi: 1 unread in Closing checklist · Quayside Lofts
    Chiara Rossi: Ada Okafor changed the time of Kick-off with the lender · Quayside Lofts
    Chiara Rossi: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
    Chiara Rossi: Weekly check-in starts in 15 minutes
    Dev Patel by mail, aggregated: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Dev Patel by mail, aggregated: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Dev Patel by mail, immediate: Ada Okafor changed your access to Quayside Lofts from view to edit (project Quayside Lofts Quayside Lofts)
    Dev Patel: Ada Okafor changed your access to Quayside Lofts from view to edit
    Dev Patel: Bruno Keller changed your access to Appraisal report.pdf · Quayside Lofts from view to edit
    Elif Yılmaz by mail, aggregated: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts (project Quayside Lofts Quayside Lofts)
    Elif Yılmaz: Bruno Keller gave you view access to Rent roll.xlsx · Quayside Lofts
    Elif Yılmaz: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts
    Farid Haddad: Ada Okafor gave you view access to Quayside Lofts
    Farid Haddad: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
    Farid Haddad: Chiara Rossi uploaded Rent roll.xlsx to Quayside Lofts
    Grace Lindqvist: 1 unread in Closing checklist · Quayside Lofts
    Grace Lindqvist: Ada Okafor invited you to Kick-off with the lender · Quayside Lofts
    Grace Lindqvist: Chiara Rossi mentioned you in Closing checklist · Quayside Lofts
    Hugo Martín: Ada Okafor changed the time of Kick-off with the lender · Quayside Lofts
    Hugo Martín: Bruno Keller removed your access to Mill Street Refinancing
    ");
}

#[tokio::test]
async fn operator_events_one_of_each_type() {
    let db = TestDatabase::new().await;
    db.execute(
        "INSERT INTO notification_endpoints (id, name, channel, target, settings)
         VALUES (gen_random_uuid(), 'ops', 'slack', '…', '{}')",
    )
    .await;
    let before = everything(&db).await;
    let events = put(&db, Size::Operator).await;
    assert_eq!((events.values().sum::<i64>(), events.len()), (10, 10));
    let report = db.run().await;
    // Slack hears of all, and a phone of one.
    assert_eq!((report.events, report.deliveries), (10, 11));
    insta::assert_snapshot!(db.titles().await, @"
    Ada Okafor by mail, immediate: Costs are at EUR 182.40, 90% above the average of EUR 96
    Ada Okafor by mail, immediate: Harbor Homes paid EUR 480.00
    Ada Okafor by mail, immediate: Margin alert: the health score is 1.08
    Ada Okafor by mail, immediate: Node node-17 was terminated (project Quayside Lofts Quayside Lofts)
    Ada Okafor by mail, immediate: The health of node node-18 is down to 42
    Ada Okafor by mail, immediate: The rate limit is used up to 9120 of 10000 (91%)
    Ada Okafor: Costs are at EUR 182.40, 90% above the average of EUR 96

    Threshold: 150%
    Organisation: Harbor Homes
    Ada Okafor: Harbor Homes paid EUR 480.00

    Payment: pay_20491
    Ada Okafor: Margin alert: the health score is 1.08

    Add collateral, or positions will be closed.

    User: Chiara Rossi
    Organisation: Harbor Homes
    Ada Okafor: Node node-17 was terminated

    Reason: Spot capacity was reclaimed
    Time remaining: 52m
    Organisation: Harbor Homes
    Project: Quayside Lofts
    Ada Okafor: The health of node node-18 is down to 42

    Issues: GPU temperature is 91 °C, Disk is 97% full
    Organisation: Harbor Homes
    Ada Okafor: The rate limit is used up to 9120 of 10000 (91%)

    Threshold: 90%
    Organisation: Harbor Homes
    Bruno Keller by mail, aggregated: Costs are at EUR 182.40, 90% above the average of EUR 96
    Bruno Keller by mail, aggregated: Harbor Homes paid EUR 480.00
    Bruno Keller by mail, aggregated: Margin alert: the health score is 1.08
    Bruno Keller by mail, aggregated: Node node-17 was launched (project Quayside Lofts Quayside Lofts)
    Bruno Keller by mail, aggregated: Node node-17 was terminated (project Quayside Lofts Quayside Lofts)
    Bruno Keller by mail, aggregated: The health of node node-18 is down to 42
    Bruno Keller by mail, aggregated: The rate limit is used up to 9120 of 10000 (91%)
    Bruno Keller: Costs are at EUR 182.40, 90% above the average of EUR 96

    Threshold: 150%
    Organisation: Harbor Homes
    Bruno Keller: Harbor Homes paid EUR 480.00

    Payment: pay_20491
    Bruno Keller: Margin alert: the health score is 1.08

    Add collateral, or positions will be closed.

    User: Chiara Rossi
    Organisation: Harbor Homes
    Bruno Keller: Node node-17 was launched

    Provider: runpod
    Region: eu-west-1
    GPU: A100
    Model: llama-70b
    Duration: 4h
    Spot: yes
    Price: USD 1.20
    Organisation: Harbor Homes
    Project: Quayside Lofts
    Bruno Keller: Node node-17 was terminated

    Reason: Spot capacity was reclaimed
    Time remaining: 52m
    Organisation: Harbor Homes
    Project: Quayside Lofts
    Bruno Keller: The health of node node-18 is down to 42

    Issues: GPU temperature is 91 °C, Disk is 97% full
    Organisation: Harbor Homes
    Bruno Keller: The rate limit is used up to 9120 of 10000 (91%)

    Threshold: 90%
    Organisation: Harbor Homes
    Chiara Rossi by mail, immediate: Margin alert: the health score is 1.08
    Chiara Rossi: Alert Occupancy below 90% was triggered

    Quayside Lofts is at 87.5%.

    Condition: below 90, metric occupancy
    Project: Quayside Lofts
    Chiara Rossi: Margin alert: the health score is 1.08

    Add collateral, or positions will be closed.

    Organisation: Harbor Homes
    Grace Lindqvist by mail, immediate: Northwind Lending signed up as a new tenant
    Grace Lindqvist by mail, immediate: Payment of USD 96.50 by Northwind Lending failed
    Grace Lindqvist: Northwind Lending signed up as a new tenant

    E-mail: billing@example.org
    Plan: growth
    Grace Lindqvist: Payment of USD 96.50 by Northwind Lending failed

    Reason: The card was declined
    Tenant: tenant-31
    ");
    put(&db, Size::Operator).await;
    db.run().await;
    assert!(take_away(&db).await > 0);
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn called_again_it_adds_events_and_no_people() {
    let db = TestDatabase::new().await;
    put(&db, Size::Small).await;
    db.run().await;
    // Whoever tries things out changes the world; that stays.
    db.execute("UPDATE profiles SET full_name = 'Ada Changed' WHERE full_name = 'Ada Okafor'")
        .await;
    let seeded = seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect("seeded")
        .expect("seeded");
    assert!(
        seeded.world.iter().all(|count| count.rows == 0),
        "{:?}",
        seeded.world
    );
    assert_eq!(db.count("profiles").await, 9);
    assert_eq!(
        db.count("profiles WHERE full_name = 'Ada Changed'").await,
        1
    );
    assert_eq!(db.count("domain_events").await, 32);
    assert_eq!(db.run().await.events, 16);
    // A nudge is sent once, ever.
    assert_eq!(db.count("notification_once").await, 1);
}

#[tokio::test]
async fn rows_of_others_are_not_mixed_with_test_data_unasked() {
    let db = TestDatabase::new().await;
    let seed = |arguments: &[&str]| {
        let mut command = binary_at(&db.superuser_url());
        command.arg("seed").args(arguments);
        assert_cmd::Command::from_std(command).assert()
    };
    // An empty database, and its own rows.
    seed(&[]).success();
    seed(&["--operator"]).success();
    seed(&["--clear"]).success();
    db.execute(
        "INSERT INTO orgs VALUES (gen_random_uuid(), 'Works');
         INSERT INTO domain_events (event_type) VALUES ('payment_failed')",
    )
    .await;
    let refused = seed(&[]).code(2);
    let stderr = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(
        complaint(&stderr).contains("in orgs, domain_events; nothing was inserted"),
        "{stderr}"
    );
    assert!(stderr.contains("--yes"), "{stderr}");
    assert_eq!(db.count("domain_events").await, 1);
    // What would insert nothing has nothing to ask.
    seed(&["--if-empty"]).success();
    seed(&["--yes"]).success();
    assert_eq!(db.count("domain_events").await, 17);
}

#[tokio::test]
async fn only_if_there_are_no_events() {
    let db = TestDatabase::new().await;
    let database = database_at(&db.superuser_url());
    assert!(
        seed(&database, Size::Small, true)
            .await
            .expect("seeded")
            .is_some()
    );
    assert_eq!(
        seed(&database, Size::Small, true)
            .await
            .expect("not seeded"),
        None
    );
    assert_eq!(db.count("domain_events").await, 16);
}

#[tokio::test]
async fn clear_leaves_whatever_is_not_the_seeds() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let acme = world.org("Acme", [ada]).await;
    let atlas = world.project("Atlas", acme).await;
    let report = world.document("Report", acme, atlas).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    world.meeting("Review", [ada, bo]).await;
    world.grant(atlas, [bo]).await;
    world.permission(report, bo, "view").await;
    world.prefers(bo, "global / * / email = digest", None).await;
    world
        .event("chat_message_sent")
        .actor(ada)
        .thread(budget)
        .await;
    world
        .event("document_uploaded")
        .actor(ada)
        .project(atlas)
        .document(report)
        .await;
    world.event("an_unknown_type").await;
    world
        .event("resume_incomplete_nudge")
        .project(atlas)
        .payload(serde_json::json!({"user_id": ada, "resume_type": "project", "completion_percent": 5, "nudge_tier": 1}))
        .await;
    // Neighbours of the seed's identifiers on either side.
    for neighbour in [
        "5eed5eed-fa11-3fff-bfff-ffffffffffff",
        "5eed5eed-fa11-5000-8000-000000000000",
        "5eed5eed-fa12-4001-8000-000000000001",
    ] {
        db.execute(format!(
            "INSERT INTO profiles VALUES ('{neighbour}', 'near@example.com', NULL)"
        ))
        .await;
        db.execute(format!(
            "INSERT INTO domain_events (event_type, actor_id) VALUES ('near', '{neighbour}')"
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
    // One of the seed's people hears of an event that is not the seed's: the event stays.
    let event = world
        .event("document_uploaded")
        .actor(ada)
        .project(atlas)
        .document(report)
        .await;
    db.run().await;
    assert!(
        db.count(&format!("notifications WHERE event_id = {event}"))
            .await
            > 1
    );
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
        let events = put(db, Size::Load(1_000)).await;
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
    // Whoever sends or is mentioned takes part, or the load would tell nobody.
    assert_eq!(
        one.text("SELECT count(*) FROM domain_events e WHERE event_type = 'chat_message_sent' AND NOT EXISTS (
                    SELECT FROM chat_thread_participants t WHERE t.thread_id = e.thread_id AND t.user_id = e.actor_id)")
            .await,
        "0"
    );
    assert!(take_away(&one).await > 5_000);
    assert_eq!(everything(&one).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_larger_world_contains_the_smaller() {
    let db = TestDatabase::new().await;
    put(&db, Size::Load(800)).await;
    let small = db.count("profiles").await;
    let seeded = seed(&database_at(&db.superuser_url()), Size::Load(2_000), false)
        .await
        .expect("seeded")
        .expect("seeded");
    let added = seeded
        .world
        .iter()
        .find(|count| count.name == "profiles")
        .expect("people")
        .rows;
    assert_eq!((small, added, db.count("profiles").await), (40, 60, 100));
}

/// Puts the seed into a database that was altered, and tells why it can't be; nothing may be left.
async fn refusal(alteration: &str) -> String {
    let db = TestDatabase::new().await;
    db.execute(alteration).await;
    let failed = seed(&database_at(&db.superuser_url()), Size::Small, false)
        .await
        .expect_err("refused");
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
async fn an_empty_database_is_told_to_migrate() {
    let db = TestDatabase::empty().await;
    let failed = seed(&database_at(&db.superuser_url()), Size::Small, true)
        .await
        .expect_err("refused");
    assert!(matches!(failed, SeedFailed::NotMigrated), "{failed}");
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
    let failed = clear(&database_at(&db.superuser_url()))
        .await
        .expect_err("kept");
    assert!(matches!(failed, SeedFailed::Refused(_)), "{failed}");
    assert_eq!(everything(&db).await, before);
}

#[tokio::test]
async fn a_view_has_nothing_to_clear() {
    let db = TestDatabase::new().await;
    db.execute(
        "ALTER TABLE profiles RENAME TO people; CREATE VIEW profiles AS SELECT * FROM people",
    )
    .await;
    let removed: Vec<Count> = clear(&database_at(&db.superuser_url()))
        .await
        .expect("cleared");
    assert!(
        removed
            .iter()
            .all(|count| count.rows == 0 && count.name != "profiles")
    );
}
