//! What a run costs in statements, commits and round trips: it follows the batches, not the
//! events, the people or the history.

use std::collections::BTreeMap;

use notify_fan_out::fan_out;
use tokio_util::sync::CancellationToken;

use crate::harness::{Server, TestDatabase, database_at};

const ROUND_TRIPS: &str = "round trips";

/// The statements that a run sends, by their first words, as the server counts them; and how often
/// it waits for an answer.
async fn cost(db: &TestDatabase<'_>) -> BTreeMap<String, u64> {
    let (proxy, url) = db.behind_proxy();
    db.execute("SELECT pg_stat_statements_reset(0, (SELECT oid FROM pg_database WHERE datname = current_database()), 0)").await;
    let stop = CancellationToken::new();
    let (_, result) = fan_out::run(&database_at(&url), &db.settings(), &stop, &mut |_| {}).await;
    result.expect("a run");
    let rows = db
        .texts(
            "SELECT kind || '=' || sum(calls)
               FROM pg_stat_statements
              CROSS JOIN LATERAL split_part(regexp_replace(btrim(query, E' \\n'), '^(--[^\\n]*\\n)+', ''), ' ', 1) AS kind
              WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND query NOT LIKE '%pg_stat_statements%'
              GROUP BY kind",
        )
        .await;
    let mut cost: BTreeMap<_, _> = rows
        .iter()
        .map(|row| {
            let (kind, calls) = row.split_once('=').expect("a count");
            (kind.to_owned(), calls.parse().expect("a number"))
        })
        .collect();
    cost.insert(ROUND_TRIPS.to_owned(), proxy.take().round_trips);
    cost
}

/// A server of its own: the shared one may have been started without the module.
fn server() -> Server {
    Server::start_with("-c shared_preload_libraries=pg_stat_statements")
}

/// So many people with so many events, evenly among so many threads.
async fn stage(server: &Server, events: usize, people: i32, threads: usize) -> TestDatabase<'_> {
    let db = TestDatabase::on(server).await;
    db.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .await;
    let mut world = db.world().await;
    let readers = world.people(people).await;
    let kickoff = world.meeting("Kick-off", &readers).await;
    world
        .execute(format!(
            "INSERT INTO chat_threads (id, topic) SELECT md5('thread' || n)::uuid, 'Thread ' || n FROM generate_series(1, {threads}) AS n;
             INSERT INTO chat_thread_participants (thread_id, user_id) SELECT t.id, p.id FROM chat_threads t, profiles p;
             INSERT INTO domain_events (event_type, thread_id, meeting_id)
             SELECT CASE n % 2 WHEN 0 THEN 'chat_message_sent' ELSE 'meeting_updated' END,
                    md5('thread' || 1 + n % {threads})::uuid, '{kickoff}'
               FROM generate_series(1, {events}) AS n"
        ))
        .await;
    db
}

#[tokio::test]
async fn statements_follow_the_batches() {
    let server = server();
    let few = cost(&stage(&server, 10, 2, 10).await).await;
    let many = cost(&stage(&server, 500, 20, 500).await).await;
    // Neither events nor people count: two transactions for the batch, one that finds nothing more.
    assert_eq!(few, many);
    assert_eq!(many["COMMIT"], 3, "{many:?}");
    assert!(many[ROUND_TRIPS] > many["COMMIT"], "{many:?}");

    let history = stage(&server, 10, 2, 10).await;
    history
        .execute(
            "INSERT INTO domain_events (event_type) SELECT 'old' FROM generate_series(1, 20000);
             UPDATE notification_processing SET processing_status = 'completed' WHERE event_id > 10;
             UPDATE notification_sweep SET swept_to = 20000",
        )
        .await;
    assert_eq!(cost(&history).await, few);

    // As many again of the same threads come for the same.
    for threads in [1, 25] {
        let together = cost(&stage(&server, 1_000, 5, threads).await).await;
        assert_eq!(together, few, "{threads} threads");
    }

    // Endpoints cost one statement for all announcements of a batch, and nothing without them.
    let announcing = stage(&server, 10, 2, 10).await;
    announcing
        .execute(
            r#"INSERT INTO notification_endpoints (id, name, channel, target, settings)
               SELECT gen_random_uuid(), 'n' || n, 'slack', '…', '{}' FROM generate_series(1, 5) AS n;
               INSERT INTO domain_events (event_type, payload)
               SELECT 'node_launched', '{"node_id": 1}' FROM generate_series(1, 200)"#,
        )
        .await;
    let announcing = cost(&announcing).await;
    for (kind, calls) in &few {
        // A statement is described before it runs.
        let more = match kind.as_str() {
            "WITH" => 1,
            ROUND_TRIPS => 2,
            _ => 0,
        };
        assert_eq!(announcing[kind], calls + more, "{kind} in {announcing:?}");
    }

    let idle = cost(&stage(&server, 0, 2, 1).await).await;
    // A thousand events: at most six commits, with that of the claim that finds nothing more.
    let thousand = cost(&stage(&server, 1_000, 5, 1_000).await).await;
    assert_eq!(thousand["COMMIT"], 5);
    // And two thousand of a few threads, which are two batches too.
    let companions = cost(&stage(&server, 2_000, 5, 25).await).await;
    assert_eq!(companions, thousand);
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

/// Events that the database refuses are found in few transactions, whatever their share, and however
/// often they are tried.
#[tokio::test]
async fn refused_events_cost_few_transactions() {
    let server = server();
    let clean = cost(&stage(&server, 1_000, 3, 1_000).await).await["BEGIN"];
    for (percent, sqlstate, most) in [(10, "P0001", 5), (50, "23514", 2)] {
        let db = stage(&server, 1_000, 3, 1_000).await;
        let condition = format!("abs(hashint8(NEW.event_id)) % 100 < {percent}");
        db.refuses(&condition, sqlstate, "no").await;
        let mut transactions = 0;
        while db.standings().await.contains("pending") {
            db.time_passes().await;
            transactions += cost(&db).await["BEGIN"];
        }
        assert!(
            transactions <= most * clean,
            "{percent} %: {transactions} transactions; undisturbed: {clean}"
        );
        let completed = "notification_processing WHERE processing_status = 'completed'";
        let completed = db.count(completed).await;
        assert!(
            completed.abs_diff(1_000 - 10 * percent) < 60,
            "{completed} at {percent} %"
        );
    }
}

/// A batch of nothing but events that can't be decoded or are refused.
#[tokio::test]
async fn poison_events_cost_few_transactions() {
    let server = server();
    let db = stage(&server, 250, 3, 250).await;
    db.refuses("true", "23514", "no").await;
    db.execute(
        "INSERT INTO domain_events (event_type, payload)
         SELECT 'project_access_granted', '{\"affected_user_id\": 7}' FROM generate_series(1, 250)",
    )
    .await;
    let poison = cost(&db).await;
    assert_eq!(db.standings().await, "failed=500");
    // The claim, the batch, what is left of it, and a claim that finds nothing more.
    assert_eq!(poison["BEGIN"], 4, "{poison:?}");
    assert!(poison[ROUND_TRIPS] < 60, "{poison:?}");
}
