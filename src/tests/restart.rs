//! The server goes away in the middle of a run.

use crate::harness::{RunCommand as _, Server, TestDatabase, Worker, binary_at};

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
    let ended = worker.ends(0).await;
    let lost = "lost the connection";
    assert!(ended.stderr.contains(lost), "{ended:?}");

    // A batch that was claimed, but whose claim got no answer, comes back by rescue.
    db.claims_grow_old().await;
    db.run().await;
    assert_eq!(db.standings().await, "completed=3000");
    let apart = "notifications WHERE coalesce_key IS NULL";
    assert_eq!(db.count(apart).await, 1_500 * 20);
    let counts = "SELECT DISTINCT coalesce_count FROM notifications WHERE coalesce_key IS NOT NULL";
    assert_eq!(db.text(counts).await, "1500");
}

#[tokio::test]
async fn run_survives_a_restart_of_the_server() {
    disturbed(Server::restart).await;
}

/// As by a power cut.
#[tokio::test]
async fn run_survives_a_crash_of_the_server() {
    disturbed(|server| {
        server.crash();
        // Back only after some attempts to connect.
        std::thread::sleep(std::time::Duration::from_millis(700));
        server.start_again();
    })
    .await;
}

#[test]
fn server_that_is_not_there_is_named() {
    let mut command = binary_at("postgres://nobody@localhost:1/nothing");
    let error = command.arg("run").fails(4);
    assert!(error.contains("localhost:1/nothing"), "{error}");
}
