//! The plans of the job's statements: they follow the batch. Whatever the planner thinks of tables
//! that have grown, none of them is read as a whole, nor any index of theirs.

use std::collections::{BTreeMap, BTreeSet};

use notify_fan_out::seed::{Size, seed};
use serde_json::Value;

use crate::harness::{Server, TestDatabase, database_at};

/// Rows of the past in each table, and in most of the indexes.
const PAST: u64 = 30_000;
/// Due of every kind, and behind it as many messages as many runs would take.
const DUE: u32 = 80;
const BACKLOG: u64 = 6_000;
/// What of it is claimed at once, before as many that go along; and at all.
const BATCH: u32 = 20;
const LIMIT: u32 = 200;
/// Of such a batch each event concerns so many people at most, each of whom has so many
/// preferences: this is what a node may read.
const AUDIENCE: u32 = 15;
const WISHES: u32 = 2;
const MOST_ROWS: u32 = 2 * BATCH * AUDIENCE * WISHES;
/// Pages for each row that is found, or looked for: down the index, and to the table; and so many
/// more, whatever it is.
const PAGES: f64 = 6.0;
const MORE_PAGES: f64 = 40.0;

/// The job's statements, by what only they contain.
const STATEMENTS: &[(&str, &str)] = &[
    ("rescue", include_str!("../fan_out/rescue.sql")),
    ("sweep", include_str!("../fan_out/sweep_enqueue.sql")),
    ("sweep_count", include_str!("../fan_out/sweep_count.sql")),
    ("claim", include_str!("../fan_out/claim.sql")),
    ("count_due", include_str!("../fan_out/count_due.sql")),
    ("fence", include_str!("../fan_out/fence.sql")),
    ("names", include_str!("../fan_out/names.sql")),
    ("write_each", include_str!("../fan_out/write_each.sql")),
    (
        "write_coalesced",
        include_str!("../fan_out/write_coalesced.sql"),
    ),
    ("write_routed", include_str!("../fan_out/write_routed.sql")),
    ("probe", include_str!("../fan_out/probe.sql")),
    ("probe_each, events", "AS e (event_id bigint, plans jsonb)"),
    ("probe_each, plans", "jsonb_to_recordset(event.plans)"),
    (
        "probe_each, each",
        "unnest(plan.shown), event.event_id, plan.title",
    ),
    (
        "probe_each, coalesced",
        "unnest(plan.shown), event.event_id, 1 || plan.title",
    ),
    ("probe_each, mails", "unnest(plan.immediate)"),
    (
        "probe_each, found",
        "set_config('notify_fan_out.probe', found::text",
    ),
    ("probe, found", "current_setting('notify_fan_out.probe')"),
    ("requeue", include_str!("../fan_out/requeue.sql")),
    ("read_routed", include_str!("../fan_out/read_routed.sql")),
    ("dry_run_due", include_str!("../fan_out/dry_run_due.sql")),
    (
        "read_decisions",
        include_str!("../fan_out/read_decisions.sql"),
    ),
    (
        "explain_event",
        include_str!("../fan_out/explain_event.sql"),
    ),
    (
        "delivery_history",
        include_str!("../ops/delivery_history.sql"),
    ),
    ("attempts", include_str!("../ops/attempts.sql")),
    (
        "large_audience",
        include_str!("../fan_out/large_audience.sql"),
    ),
    (
        "large_audience_cuts",
        include_str!("../fan_out/large_audience_cuts.sql"),
    ),
    // The function's, within the others.
    ("can_view_many", "WITH asked AS MATERIALIZED"),
    (
        "can_view_many, whose rule",
        "WHERE oid = to_regprocedure('can_view(uuid, uuid)')",
    ),
];

/// What the application has besides the people and things that the events are about.
fn others() -> String {
    format!(
        "INSERT INTO profiles SELECT md5('person' || n)::uuid, 'p' || n || '@example.com', 'P' || n FROM generate_series(1, {PAST}) AS n;
         INSERT INTO orgs SELECT md5('org' || n)::uuid, 'Org ' || n FROM generate_series(1, {PAST}) AS n;
         INSERT INTO org_members SELECT md5('org' || n / 10)::uuid, md5('person' || n)::uuid, CASE n % 3 WHEN 0 THEN 'owner' ELSE 'member' END FROM generate_series(1, {PAST}) AS n;
         INSERT INTO projects SELECT md5('project' || n)::uuid, 'Project ' || n, md5('org' || n)::uuid FROM generate_series(1, {PAST}) AS n;
         INSERT INTO project_access_grants SELECT md5('project' || n / 10)::uuid, md5('person' || n)::uuid FROM generate_series(1, {PAST}) AS n;
         INSERT INTO resources SELECT md5('document' || n)::uuid, md5('org' || n)::uuid, md5('project' || n)::uuid, 'Document ' || n FROM generate_series(1, {PAST}) AS n;
         INSERT INTO permissions SELECT md5('document' || n / 10)::uuid, md5('person' || n)::uuid, CASE n % 3 WHEN 0 THEN 'none' ELSE 'view' END FROM generate_series(1, {PAST}) AS n;
         INSERT INTO chat_threads SELECT md5('thread' || n)::uuid, NULL, 'Thread ' || n FROM generate_series(1, {PAST}) AS n;
         INSERT INTO chat_thread_participants SELECT md5('thread' || n / 10)::uuid, md5('person' || n)::uuid FROM generate_series(1, {PAST}) AS n;
         INSERT INTO meetings SELECT md5('meeting' || n)::uuid, 'Meeting ' || n FROM generate_series(1, {PAST}) AS n;
         INSERT INTO meeting_participants SELECT md5('meeting' || n / 10)::uuid, md5('person' || n)::uuid FROM generate_series(1, {PAST}) AS n;
         INSERT INTO user_notification_preferences
         SELECT md5('person' || n / 3)::uuid, 'global', NULL,
                (ARRAY['meeting_updated', 'document_uploaded', '*'])[1 + n % 3], 'email', 'digest'
           FROM generate_series(1, {PAST}) AS n"
    )
}

/// What the job has done, all of it for the same people and in the same threads as what is due: done,
/// failed, or to be tried again tomorrow.
fn past() -> String {
    format!(
        "CREATE TEMP TABLE person AS SELECT row_number() OVER () AS no, id FROM profiles WHERE id::text LIKE '5eed5eed%';
         CREATE TEMP TABLE thread AS SELECT row_number() OVER () AS no, id FROM chat_threads WHERE id::text LIKE '5eed5eed%';
         ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue;
         INSERT INTO domain_events (id, event_type, thread_id, occurred_at)
         SELECT 1000 + n, 'chat_message_sent', thread.id, now() - interval '1 h'
           FROM generate_series(1, {PAST}) AS n JOIN thread ON no = 1 + n % (SELECT count(*) FROM thread);
         ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue;
         SELECT setval(pg_get_serial_sequence('domain_events', 'id'), 1000 + {PAST});
         UPDATE domain_events SET event_type = 'sun_set' WHERE id > 1000 AND id % 3 = 0;
         INSERT INTO notification_processing
            (event_id, occurred_at, thread_id, processing_status, next_attempt_at, claimed_at, claim_token, completed_at, unhandled_type)
         SELECT id, occurred_at, thread_id, status, CASE status WHEN 'pending' THEN now() + interval '1 day' ELSE occurred_at END,
                occurred_at, 0, CASE WHEN status <> 'pending' THEN now() END,
                CASE WHEN status = 'pending' AND id % 3 = 0 THEN 'sun_set' END
           FROM domain_events
          CROSS JOIN LATERAL (SELECT (ARRAY['pending', 'failed', 'completed', 'completed', 'completed', 'completed'])[1 + id % 6]) AS s (status)
          WHERE id > 1000;
         INSERT INTO notifications (user_id, event_id, title, read_at, coalesce_key, coalesce_count)
         SELECT person.id, 1000 + n, '1 unread', CASE n % 2 WHEN 1 THEN now() END, 'thread_activity:' || n, 1
           FROM generate_series(1, {PAST}) AS n JOIN person ON no = 1 + n % (SELECT count(*) FROM person);
         INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, status)
         SELECT user_id, event_id, 'chat_message_sent', 'immediate', 'Old', CASE event_id % 2 WHEN 0 THEN 'sent' ELSE 'pending' END
           FROM notifications;
         INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_id, event_type, status)
         SELECT 'email', 'email', 'user:' || user_id, user_id, event_id, 'chat_message_sent', 'delivered' FROM notifications;
         UPDATE pending_emails m SET delivery_id = d.id FROM notification_deliveries d WHERE d.event_id = m.event_id;
         INSERT INTO notification_delivery_attempts (delivery_id, attempt, transport, started_at, outcome)
         SELECT id, 1, 'smtp', now(), 'delivered' FROM notification_deliveries;
         INSERT INTO notification_once (user_id, once_key, event_id)
         SELECT user_id, 'resume_incomplete_nudge:' || event_id, event_id FROM notifications;
         INSERT INTO notification_endpoints (id, name, scope, scope_id, channel, target, settings)
         SELECT md5('endpoint' || n)::uuid, 'Endpoint ' || n, CASE WHEN n > 3 THEN 'organisation' ELSE 'global' END,
                CASE WHEN n > 3 THEN md5('org' || n)::uuid END, 'slack', '…', '{{}}'
           FROM generate_series(1, {PAST}) AS n;
         INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_id, event_type, status, finished_at)
         SELECT 'slack', 'endpoint:' || md5('endpoint' || n % 3)::uuid, 'endpoint:' || md5('endpoint' || n % 3)::uuid,
                md5('endpoint' || n % 3)::uuid, 1000 + n, 'alert_triggered', 'delivered', now()
           FROM generate_series(1, {PAST}) AS n;
         INSERT INTO notification_delivery_targets (target) SELECT 'endpoint:' || md5('endpoint' || n)::uuid FROM generate_series(1, {PAST}) AS n;
         INSERT INTO notification_delivery_guards (guard, delivery_key, until)
         SELECT 'slack|endpoint:' || md5('endpoint' || n % 3)::uuid || '|day:' || n, gen_random_uuid(), now() + CASE n % 2 WHEN 0 THEN interval '1 h' ELSE interval '-1 h' END
           FROM generate_series(1, {PAST}) AS n"
    )
}

/// Two claims of a worker that is gone, two events whose type has its handler by now, two that wait
/// for one, and one that the database refuses.
const UNUSUAL: &str = "
    UPDATE notification_processing SET processing_status = 'processing', claimed_at = now() - interval '1 h'
     WHERE event_id IN (SELECT max(id) - n FROM domain_events, generate_series(0, 1) AS n GROUP BY n);
    UPDATE notification_processing SET unhandled_type = 'chat_message_sent', next_attempt_at = now() + interval '1 h'
     WHERE event_id IN (SELECT max(id) - n FROM domain_events, generate_series(2, 3) AS n GROUP BY n);
    INSERT INTO domain_events (event_type) VALUES ('moon_landed'), ('moon_landed');
    INSERT INTO domain_events (event_type, org_id, payload)
    SELECT 'alert_triggered', md5('org' || 4 + n)::uuid, jsonb_build_object('alert_id', n % 15, 'message', n)
      FROM generate_series(1, 20) AS n;
    ALTER TABLE notifications ADD CONSTRAINT cursed CHECK (title NOT LIKE '%Cursed%') NOT VALID;
    INSERT INTO meetings (id, title) VALUES (md5('cursed')::uuid, 'Cursed');
    INSERT INTO meeting_participants SELECT md5('cursed')::uuid, id FROM profiles WHERE id::text LIKE '5eed5eed%' LIMIT 3;
    INSERT INTO domain_events (event_type, meeting_id) VALUES ('meeting_updated', md5('cursed')::uuid)";

/// Messages in one of the threads: whatever looks for those of another does not pass by them.
fn backlog() -> String {
    format!(
        "INSERT INTO domain_events (event_type, thread_id)
         SELECT 'chat_message_sent', thread_id
           FROM (SELECT thread_id FROM domain_events WHERE event_type = 'chat_message_sent' AND id <= 1000 LIMIT 1) AS busy,
                generate_series(1, {BACKLOG})"
    )
}

/// Full tables, with statistics from before they were filled if need be.
async fn stage(server: &Server, analyzed_before: bool) -> TestDatabase<'_> {
    let db = TestDatabase::on(server).await;
    let seeds = database_at(&db.superuser_url());
    seed(&seeds, Size::Load(1), false).await.expect("a world");
    if analyzed_before {
        db.execute("ANALYZE").await;
    }
    db.execute(others()).await;
    db.execute(past()).await;
    // The same people and things again, and what is due.
    seed(&seeds, Size::Load(DUE), false).await.expect("events");
    db.execute(UNUSUAL).await;
    db.execute(backlog()).await;
    // As far as runs have come that look at each event for some minutes.
    db.execute(
        "UPDATE notification_sweep SET swept_to = (SELECT max(id) - 500 FROM domain_events), seen_at = now()",
    )
    .await;
    db
}

/// What reads too much: statement, node and condition, with the most rows and pages that it read.
pub(crate) type Findings = BTreeMap<String, (f64, f64)>;

/// Runs the job's commands, and finds what is amiss in the plans of their statements.
async fn amiss(server: &Server, db: &TestDatabase<'_>) -> Findings {
    let newest = |event_type: &str| {
        format!("SELECT max(id) FROM domain_events WHERE event_type = '{event_type}'")
    };
    let document = db.text(newest("document_uploaded")).await;
    let alert = db.text(newest("alert_triggered")).await;
    let message = "SELECT min(event_id) FROM notification_processing JOIN domain_events ON id = event_id
        WHERE event_type = 'chat_message_sent' AND processing_status = 'pending' AND next_attempt_at <= now()";
    let message = db.text(message).await;
    tell_plans(db).await;
    let before = server.log().len();
    let few = format!("--batch-size {BATCH} --limit {LIMIT}");
    db.prints(&format!("run --dry-run {few}"));
    db.prints(&format!("explain {document}"));
    db.prints(&format!("explain {alert}"));
    // One fails.
    db.fails(&format!("run {few}"), 3);
    // One is alone.
    db.prints("run --limit 1");
    db.prints(&format!("explain {document}"));
    db.prints(&format!("explain {message}"));
    // One that a mail was sent of.
    db.prints("explain 1002");
    let after = server.log().len();
    db.execute("UPDATE notification_processing SET processing_status = 'completed' WHERE processing_status = 'pending' AND next_attempt_at <= now()")
        .await;
    // What was due till then is out of the index.
    db.execute("VACUUM notification_processing").await;
    let idle = server.log().len();
    db.prints("run");
    let log = server.log();

    let mut findings = Findings::new();
    let mut met = BTreeSet::new();
    for plan in plans(&[&log[before..after], &log[idle..]].concat()) {
        let query = plan["Query Text"].as_str().expect("a statement");
        // A foreign key.
        if query.ends_with("FOR KEY SHARE OF x") {
            continue;
        }
        let known = STATEMENTS.iter().find(|(_, text)| query.contains(text));
        let Some((name, _)) = known else {
            panic!("whose statement is this? {query}");
        };
        met.insert(*name);
        // It counts what waits, up to a bound of its own.
        if *name != "count_due" {
            examine(name, &plan["Plan"], MOST_ROWS, &mut findings);
        }
    }
    let all: BTreeSet<_> = STATEMENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(met, all);
    findings
}

/// Has the server tell the plans of whatever runs in the database, as it was carried out.
pub(crate) async fn tell_plans(db: &TestDatabase<'_>) {
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_nested_statements = on",
        "auto_explain.log_analyze = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_buffers = on",
        "auto_explain.log_format = json",
    ] {
        db.execute(format!("ALTER DATABASE {} SET {setting}", db.name()))
            .await;
    }
}

/// The plans in a log: after the line that announces it, each is indented by a tab.
pub(crate) fn plans(log: &str) -> Vec<Value> {
    let mut plans = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if line.contains("duration: ") && line.ends_with(" plan:") {
            let mut plan = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
                plan.push_str(line);
            }
            plans.push(
                serde_json::from_str(&plan).unwrap_or_else(|error| panic!("{error}: {plan}")),
            );
        }
    }
    plans
}

/// Looks at a node of a plan and at what is below it: none may read more rows than so many.
pub(crate) fn examine(statement: &str, node: &Value, most_rows: u32, findings: &mut Findings) {
    // Newer servers give averages with a fraction.
    let number = |key: &str| node[key].as_f64().unwrap_or(0.0);
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let children = node["Plans"].as_array().map_or(&[][..], Vec::as_slice);
    let kind = text("Node Type");
    if kind.contains("Scan")
        && (node["Relation Name"].is_string() || node["Index Name"].is_string())
    {
        let loops = number("Actual Loops");
        let rows = number("Actual Rows")
            + number("Rows Removed by Filter")
            + number("Rows Removed by Index Recheck");
        // On average: of several times it has found nothing in some.
        let rows = loops * rows.max(1.0);
        let pages = |node: &Value| {
            let pages = |key: &str| node[key].as_f64().unwrap_or(0.0);
            pages("Shared Hit Blocks") + pages("Shared Read Blocks")
        };
        // A node's pages are its own and those below it.
        let pages = pages(node) - children.iter().map(pages).sum::<f64>();
        // Who only looks may go through a person's own notifications for the unread one.
        let is_a_look = statement == "read_decisions"
            && text("Index Name") == "notifications_inbox_idx"
            && text("Index Cond").starts_with("(user_id = ");
        if is_a_look {
            continue_below(statement, children, most_rows, findings);
            return;
        }
        // A list that another part of the statement makes is made while this node waits for it.
        let waits = text("Index Cond").contains("= ANY ($");
        let too_many_pages = !waits && pages > PAGES * rows + MORE_PAGES;
        if kind == "Seq Scan" || rows > f64::from(most_rows) || too_many_pages {
            // Lists and the places of a dry run are long, and differ.
            let condition = |key: &str| text(key).split('\'').next().unwrap_or_default().to_owned();
            let place = format!(
                "{statement}: {kind} on {} by {}, {} filter {}",
                text("Relation Name"),
                text("Index Name"),
                condition("Index Cond"),
                condition("Filter"),
            );
            let most = findings.entry(place).or_default();
            *most = (rows.max(most.0), pages.max(most.1));
        }
    }
    continue_below(statement, children, most_rows, findings);
}

fn continue_below(statement: &str, children: &[Value], most_rows: u32, findings: &mut Findings) {
    for child in children {
        examine(statement, child, most_rows, findings);
    }
}

#[tokio::test]
async fn plans_follow_the_batch() {
    let server = Server::start_with("-c autovacuum=off");
    let never_analyzed = stage(&server, false).await;
    let analyzed = never_analyzed.twin().await;
    analyzed.execute("ANALYZE").await;
    let without_statistics = analyzed.twin().await;
    without_statistics.execute("DELETE FROM pg_statistic").await;
    // As after a mass deletion that was noticed, and a return of the rows that was not.
    let misled = analyzed.twin().await;
    misled
        .execute("UPDATE pg_class SET reltuples = 10 WHERE relnamespace = 'public'::regnamespace AND reltuples > 10")
        .await;
    let analyzed_before = stage(&server, true).await;
    let mut findings = BTreeMap::new();
    for (name, db) in [
        ("analyzed", analyzed),
        ("never analyzed", never_analyzed),
        ("analyzed when there was nothing", analyzed_before),
        ("without statistics", without_statistics),
        ("taken for ten rows each", misled),
    ] {
        let found = amiss(&server, &db).await.into_iter();
        findings.extend(found.map(|(place, counts)| ((name, place), counts)));
    }
    assert!(findings.is_empty(), "(rows, pages) too many: {findings:#?}");
}
