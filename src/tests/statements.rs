//! What a run costs in statements, commits and round trips: it follows the batches, not the
//! events, the people or the history.

use std::collections::BTreeMap;

use crate::harness::{Server, TestDatabase};

/// The statements that a run sends, by their first words, as the server counts them.
async fn cost(db: &TestDatabase<'_>, batch_size: u32) -> BTreeMap<String, u64> {
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

async fn stage(server: &Server, events: usize, people: i32) -> TestDatabase<'_> {
    let db = TestDatabase::on(server).await;
    db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .await;
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
    // Neither events nor people count: two transactions for the batch, one that finds nothing more.
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
    let idle = stage(&server, 0, 2).await;
    let idle = cost(&idle, 500).await;
    for (kind, calls) in &many {
        // A run looks for stuck claims once, and once for what is due after the last batch.
        let once = idle.get(kind).copied().unwrap_or(0);
        assert_eq!(
            thousand[kind],
            once + 2 * (calls - once),
            "{kind} in {thousand:?}, {many:?}"
        );
    }
}
