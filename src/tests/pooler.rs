//! Through `PgBouncer` in transaction mode, where each transaction may meet another server
//! connection: no named statement, no setting and no lock of a session lasts.

use serde_json::json;

use crate::harness::{Pooler, TestDatabase, Worker, binary_at, database_at, migrate};

#[tokio::test]
async fn migrates_and_runs() {
    let db = TestDatabase::empty().await;
    let pooler = Pooler::before(&db, true).await;
    let mut command = binary_at(&pooler.url());
    command.arg("migrate");
    assert_cmd::Command::from_std(command).assert().success();
    // In this process as well, on another connection: there is nothing left to do.
    assert_eq!(
        migrate(&database_at(&pooler.url())).await,
        notify_fan_out::db::migrate::MigrateReport::default()
    );

    let mut world = db.world().await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    let budget = world.thread("Budget", [ada, bo]).await;
    for _ in 0..50 {
        world
            .event("chat_message_sent")
            .actor(ada)
            .thread(budget)
            .payload(json!({"preview": "Hi"}))
            .await;
    }
    for arguments in [
        &["run", "--dry-run"][..],
        &["run", "--batch-size", "5"],
        &["run"],
        &["run", "--alone"],
    ] {
        let mut command = binary_at(&pooler.url());
        command.args(arguments);
        assert_cmd::Command::from_std(command).assert().success();
    }
    assert_eq!(db.titles().await, "Bo: 50 unread in Budget");
    assert_eq!(db.statuses().await, [("completed".to_owned(), 50)].into());
    // Nothing stays behind on the servers.
    assert_eq!(db.count("pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").await, 0);
}

#[tokio::test]
async fn two_workers_at_once() {
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
    let workers: Vec<_> = (0..2)
        .map(|_| {
            Worker::start(binary_at(&pooler.url()).args(["--batch-size", "20", "--format", "json"]))
        })
        .collect();
    let mut events = Vec::new();
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
        events.push(ended.report()["events"].as_u64().expect("a number"));
    }
    assert_eq!(events.iter().sum::<u64>(), 600);
    assert!(!events.contains(&0), "one did it all");
    assert_eq!(
        db.texts("SELECT DISTINCT coalesce_count FROM notifications")
            .await,
        ["600"]
    );
    assert_eq!(db.count("notifications").await, 10);
}

/// Being alone is a lock of a transaction, which a pooler keeps on one server connection.
#[tokio::test]
async fn only_one_is_alone() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let readers = world.people(2).await;
    let town = world.thread("Town", &readers).await;
    world.event("chat_message_sent").thread(town).await;
    let pooler = Pooler::before(&db, false).await;
    let hold = db.hold("LOCK TABLE notifications IN SHARE MODE").await;
    let first = Worker::start(binary_at(&pooler.url()).args(["run", "--alone"]));
    db.until(
        "EXISTS (SELECT FROM pg_locks WHERE relation = 'notifications'::regclass AND NOT granted)",
    )
    .await;
    let second = Worker::start(binary_at(&pooler.url()).args(["run", "--alone"]));
    assert_eq!(second.end().await.status.code(), Some(5));
    // Without the wish, it may run beside the other.
    let third = Worker::start(&mut binary_at(&pooler.url()));
    assert_eq!(third.end().await.status.code(), Some(0));
    hold.release().await;
    assert_eq!(first.end().await.status.code(), Some(0));
    assert_eq!(db.count("notifications").await, 2);
}
