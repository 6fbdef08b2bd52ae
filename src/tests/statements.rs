//! What a run costs in statements, commits and round trips: it follows the batches, not the
//! events, the people or the history.

use std::collections::BTreeMap;

use crate::harness::{Server, TestDatabase};

/// The statements that the job sent, counted by the server, and the transactions it committed.
async fn cost(db: &TestDatabase<'_>, batch_size: u32) -> BTreeMap<String, u64> {
    let commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let _ = commits;
    let mut settings = db.settings();
    settings.batch_size = batch_size;
    db.execute("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)").await;
    db.run_with(&settings).await;
    let rows = db
        .texts(
            "SELECT split_part(regexp_replace(btrim(query, E' \\n'), '^(--[^\\n]*\\n)+', ''), ' ', 1) || '=' || sum(calls)
               FROM pg_stat_statements
              WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND query NOT LIKE '%pg_stat_statements%'
              GROUP BY split_part(regexp_replace(btrim(query, E' \\n'), '^(--[^\\n]*\\n)+', ''), ' ', 1)",
        )
        .await;
    rows.iter()
        .map(|row| {
            let (kind, calls) = row.split_once('=').expect("a count");
            (kind.to_owned(), calls.parse().expect("a number"))
        })
        .collect()
}

/// A server of its own: the shared one may have been started without the module.
fn server() -> Server {
    Server::start_with("-c shared_preload_libraries=pg_stat_statements")
}

async fn stage<'s>(server: &'s Server, events: usize, people: i32) -> TestDatabase<'s> {
    let db = TestDatabase::on(server).await;
    db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let mut world = db.world().await;
    let readers = world.crowd(people).await;
    let town = world.thread("Town", &readers).await;
    let kickoff = world.meeting("Kick-off", &readers).await;
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, thread_id, meeting_id)
             SELECT CASE n % 2 WHEN 0 THEN 'chat_message_sent' ELSE 'meeting_updated' END, '{town}', '{kickoff}'
               FROM generate_series(1, {events}) AS n"
        ))
        .await;
    db
}

#[tokio::test]
async fn per_batch_they_are_constant() {
    let server = server();
    let few = stage(&server, 10, 2).await;
    let few = cost(&few, 500).await;
    let many = stage(&server, 500, 60).await;
    let many = cost(&many, 500).await;
    // One batch, and the claim that finds nothing more.
    assert_eq!(few, many);
    assert_eq!(many["COMMIT"], 3, "{many:?}");

    let history = stage(&server, 10, 2).await;
    history
        .execute(
            "INSERT INTO domain_events (event_type) SELECT 'old' FROM generate_series(1, 20000);
             UPDATE notification_processing SET processing_status = 'completed' WHERE event_id > 10",
        )
        .await;
    assert_eq!(cost(&history, 500).await, few);

    // A thousand events: at most six commits, with that of the claim that finds nothing more.
    let thousand = stage(&server, 1_000, 5).await;
    let thousand = cost(&thousand, 500).await;
    assert_eq!(thousand["COMMIT"], 5);
    let per_batch = |kind: &str| many[kind] - idle_part(kind);
    for kind in many.keys() {
        assert_eq!(thousand[kind], idle_part(kind) + 2 * per_batch(kind), "{kind} in {thousand:?}, {many:?}");
    }
}

/// What the claim that finds nothing costs, which each run ends with.
fn idle_part(kind: &str) -> u64 {
    match kind {
        "BEGIN" | "COMMIT" | "WITH" => 1,
        "SET" => 4,
        _ => 0,
    }
}
