//! The server goes away in the middle of a run.

use crate::harness::{Server, TestDatabase, Worker, binary_at};

async fn stage(server: &Server) -> TestDatabase<'_> {
    let db = TestDatabase::on(server).await;
    let mut world = db.world().await;
    let readers = world.people(20).await;
    let town = world.thread("Town", &readers).await;
    let kickoff = world.meeting("Kick-off", &readers).await;
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, thread_id, meeting_id)
             SELECT CASE n % 2 WHEN 0 THEN 'chat_message_sent' ELSE 'meeting_updated' END, '{town}', '{kickoff}'
               FROM generate_series(1, 3000) AS n"
        ))
        .await;
    db
}

async fn disturbed(disturb: impl Fn(&Server)) {
    let server = Server::start();
    let db = stage(&server).await;
    let worker = Worker::start(
        db.binary()
            .args(["--batch-size", "20", "--format", "json"])
            .env("LOG_LEVEL", "DEBUG"),
    );
    db.until("(SELECT count(*) FROM notification_processing WHERE processing_status = 'completed') >= 100").await;
    disturb(&server);
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    assert!(
        ended.stderr.contains("lost the connection"),
        "{}",
        ended.stderr
    );

    // A batch that was claimed, but whose claim got no answer, comes back by rescue.
    db.execute("UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h' WHERE processing_status = 'processing'").await;
    db.run().await;
    assert_eq!(
        db.statuses().await,
        [("completed".to_owned(), 3_000)].into()
    );
    assert_eq!(
        db.count("notifications WHERE coalesce_key IS NULL").await,
        1_500 * 20
    );
    assert_eq!(
        db.texts(
            "SELECT DISTINCT coalesce_count FROM notifications WHERE coalesce_key IS NOT NULL"
        )
        .await,
        ["1500"]
    );
}

#[tokio::test]
async fn restarted() {
    disturbed(Server::restart).await;
}

/// As by a power cut, and back only after a while.
#[tokio::test]
async fn crashed() {
    disturbed(|server| {
        server.crash();
        std::thread::sleep(std::time::Duration::from_millis(700));
        server.start_again();
    })
    .await;
}

#[tokio::test]
async fn not_there_at_all() {
    let run = binary_at("postgres://nobody@localhost:1/nothing")
        .arg("run")
        .output()
        .expect("output");
    assert_eq!(run.status.code(), Some(4), "{run:?}");
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("localhost:1/nothing"),
        "{run:?}"
    );
}
