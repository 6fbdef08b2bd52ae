//! Through `PgBouncer` in transaction mode, where each transaction may meet another server
//! connection: no named statement, no setting and no lock of a session lasts.

use notify_fan_out::db::migrate::MigrateReport;

use crate::harness::{
    Pooler, RunCommand as _, TestDatabase, Worker, binary_at, database_at, migrate,
};

#[tokio::test]
async fn pooled_connection_migrates_and_runs() {
    let db = TestDatabase::empty().await;
    let pooler = Pooler::before(&db, true).await;
    binary_at(&pooler.url()).arg("migrate").prints();
    // In this process as well, on another connection: there is nothing left to do.
    let again = migrate(&database_at(&pooler.url())).await;
    assert_eq!(again, MigrateReport::default());

    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    for _ in 0..50 {
        world.message(budget).actor(ada).await;
    }
    for arguments in [
        &["run", "--dry-run"][..],
        &["run", "--batch-size", "5"],
        &["run"],
        &["run", "--alone"],
    ] {
        binary_at(&pooler.url()).args(arguments).prints();
    }
    assert_eq!(db.titles().await, "Bo: 50 unread in Budget");
    assert_eq!(db.standings().await, "completed=50");
    // Nothing stays behind on the servers.
    let locks = "pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(db.count(locks).await, 0);
}

#[tokio::test]
async fn pooled_workers_share_the_work() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(10).await;
    let town = world.thread("Town", &readers).await;
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, thread_id) SELECT 'chat_message_sent', '{town}' FROM generate_series(1, 600)"
        ))
        .await;
    let pooler = Pooler::before(&db, false).await;
    let arguments = ["--batch-size", "20", "--format", "json"];
    let workers = [(); 2].map(|()| Worker::start(binary_at(&pooler.url()).args(arguments)));
    let mut events = Vec::new();
    for worker in workers {
        let report = worker.ends(0).await.report();
        events.push(report["events"].as_u64().expect("a number"));
    }
    assert_eq!(events.iter().sum::<u64>(), 600);
    assert!(!events.contains(&0), "one did it all");
    let counts = "SELECT DISTINCT coalesce_count FROM notifications";
    assert_eq!(db.text(counts).await, "600");
    assert_eq!(db.count("notifications").await, 10);
}

/// Being alone is a lock of a transaction, which a pooler keeps on one server connection.
#[tokio::test]
async fn only_one_pooled_worker_is_exclusive() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(2).await;
    let town = world.thread("Town", &readers).await;
    world.message(town).await;
    let pooler = Pooler::before(&db, false).await;
    let hold = db.hold_notifications().await;
    let first = Worker::start(binary_at(&pooler.url()).args(["run", "--alone"]));
    db.until(
        "EXISTS (SELECT FROM pg_locks WHERE relation = 'notifications'::regclass AND NOT granted)",
    )
    .await;
    let second = Worker::start(binary_at(&pooler.url()).args(["run", "--alone"]));
    second.ends(5).await;
    // Without the wish, it may run beside the other.
    let third = Worker::start(&mut binary_at(&pooler.url()));
    third.ends(0).await;
    hold.release().await;
    first.ends(0).await;
    assert_eq!(db.count("notifications").await, 2);
}
