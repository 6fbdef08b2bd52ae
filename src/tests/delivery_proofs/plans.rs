//! The plans of the statements of `deliver`: they follow what is leased and the number of targets,
//! neither the history nor the length of a queue.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::channels::receiver::{Receiver, answer, status};
use crate::deliver::{bare, report, start, with_mails};
use crate::harness::{Server, TestDatabase};
use crate::plans::{Findings, examine, plans, tell_plans};

/// Messages that were done with, and of these some that failed.
const PAST: u32 = 200_000;
/// What waits for one target.
const QUEUE: u32 = 20_000;
/// Targets with messages that are due.
const TARGETS: u32 = 2_000;
/// People, each with mails of the past and some that wait.
const PEOPLE: u32 = 6_000;
/// The largest statement goes through the targets a few times; others take a thousand mails.
const MOST_ROWS: u32 = 3 * TARGETS;

const STATEMENTS: &[(&str, &str)] = &[
    ("rescue", include_str!("../../delivery/rescue.sql")),
    ("columns", "attrelid = to_regclass('profiles')"),
    ("lease", include_str!("../../delivery/lease.sql")),
    ("record", include_str!("../../delivery/record.sql")),
    (
        "circuit_breaker",
        include_str!("../../delivery/circuit_breaker.sql"),
    ),
    ("disable", include_str!("../../delivery/disable.sql")),
    ("mails", include_str!("../../delivery/emails.sql")),
    ("people", "FROM profiles WHERE id = ANY ($1)"),
    ("endpoints", include_str!("../../delivery/endpoints.sql")),
    ("routes", include_str!("../../delivery/routes.sql")),
    ("lock", "SELECT pg_advisory_xact_lock($1)"),
    (
        "promote_mails",
        include_str!("../../delivery/promote_emails.sql"),
    ),
    (
        "promote_digests",
        include_str!("../../delivery/promote_digests.sql"),
    ),
    ("paused", include_str!("../../delivery/paused.sql")),
    ("pauses", include_str!("../../delivery/next_opening.sql")),
    ("peek", include_str!("../../delivery/due.sql")),
    ("peek_mails", include_str!("../../delivery/due_emails.sql")),
    ("waiting", include_str!("../../delivery/waiting.sql")),
    ("left", include_str!("../../delivery/left.sql")),
    ("expire", include_str!("../../delivery/expire.sql")),
    (
        "ahead",
        "status = 'pending' AND target = 'email' AND next_attempt_at <= now()",
    ),
];

/// All of it, with `base` for the receiver's address.
fn content(base: &str) -> String {
    format!(
        "INSERT INTO profiles SELECT md5('person' || n)::uuid, 'p' || n || '@example.com', 'P' || n FROM generate_series(1, {PEOPLE}) AS n;
         ALTER TABLE domain_events DISABLE TRIGGER notify_fan_out_enqueue;
         INSERT INTO domain_events (id, event_type) SELECT n, 'meeting_updated' FROM generate_series(1, 10) AS n;
         ALTER TABLE domain_events ENABLE TRIGGER notify_fan_out_enqueue;
         INSERT INTO notifications (user_id, event_id, title)
         SELECT p.id, e.id, 'Title' FROM profiles p, domain_events e WHERE e.id <= 6;
         INSERT INTO user_notification_preferences
         SELECT id, 'global', NULL, t.event_type, 'email', 'digest'
           FROM profiles, unnest(ARRAY['meeting_updated', 'document_uploaded', '*']) AS t (event_type);
         -- Half of the mails were sent; of the others half goes out at once.
         INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, status, has_notification, created_at, body_data)
         SELECT p.id, e.id, 'meeting_updated', CASE e.id % 2 WHEN 0 THEN 'immediate' ELSE 'aggregated' END, 'Mail',
                CASE WHEN e.id <= 6 THEN 'pending' ELSE 'sent' END, true, now() - interval '1 day',
                jsonb_build_object('guards', ARRAY['content:' || e.id])
           FROM profiles p, domain_events e;
         INSERT INTO notification_delivery_guards
         SELECT 'email|user:' || id || '|content:' || n, gen_random_uuid(), now() + interval '1 day' FROM profiles, generate_series(7, 10) AS n;

         INSERT INTO notification_endpoints (id, name, channel, target, settings)
         SELECT md5('endpoint' || n)::uuid, 'e' || n, CASE n % 2 WHEN 0 THEN 'slack' ELSE 'webhook' END, 'x',
                jsonb_build_object('url', '{base}' || CASE n WHEN 1 THEN 'gone' WHEN 3 THEN 'broken' ELSE 'e' END)
           FROM generate_series(1, {TARGETS}) AS n;
         CREATE TEMP TABLE target AS
         SELECT row_number() OVER (ORDER BY name) AS no, id, channel, 'endpoint:' || id AS name FROM notification_endpoints;
         CREATE INDEX ON target (no);
         INSERT INTO notification_delivery_targets (target, paused_until, failures)
         SELECT name, CASE WHEN no % 10 = 0 THEN now() + interval '1 s' END, 0 FROM target;
         -- What is done with, for the same targets; a part of it will be tried again tomorrow.
         INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, status, next_attempt_at, finished_at, attempts, lease_until, lease_token)
         SELECT t.channel, t.name, t.name, t.id, 'old', s.status, now() + CASE s.status WHEN 'pending' THEN interval '1 day' ELSE interval '-1 day' END,
                CASE WHEN s.status <> 'pending' THEN now() - interval '1 h' END, 1, NULL, n
           FROM generate_series(1, {PAST}) AS n
           JOIN target t ON t.no = 1 + n % {TARGETS}
          CROSS JOIN LATERAL (SELECT (ARRAY['pending', 'dead', 'uncertain', 'cancelled', 'delivered', 'delivered', 'delivered', 'delivered'])[1 + n / 7 % 8]) AS s (status);
         INSERT INTO notification_deliveries (channel, target, recipient, user_id, event_type, digest_window, status, finished_at)
         SELECT 'email', 'email', 'user:' || id, id, 'digest', date_trunc('hour', now()) - n * interval '3 h', 'delivered', now()
           FROM profiles, generate_series(2, 4) AS n;
         INSERT INTO notification_delivery_attempts (delivery_id, attempt, transport, started_at, outcome)
         SELECT id, 1, channel, now(), 'delivered' FROM notification_deliveries;
         -- What is due: two messages of each target, of one very many; some leases have ended.
         INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, message, status, next_attempt_at, lease_until)
         SELECT t.channel, t.name, t.name, t.id, 'new', '{{\"title\": \"New\"}}', 'pending', now() - interval '1 h' - interval '1 h' / t.no, NULL
           FROM target t, generate_series(1, CASE WHEN t.no = 5 THEN {QUEUE} ELSE 2 END);
         INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, message, status, next_attempt_at, lease_until, attempts)
         SELECT t.channel, t.name, t.name, t.id, 'new', '{{\"title\": \"New\"}}', 'sending', now(), now() - interval '1 h', 1
           FROM target t WHERE t.no <= 15;
         INSERT INTO notification_deliveries (channel, target, recipient, event_type, message, next_attempt_at)
         VALUES ('slack', 'env:slack', 'env:slack', 'new', '{{\"title\": \"New\"}}', now() - interval '2 h')"
    )
}

/// `deliver` with everything that it may be given.
fn deliver_all(db: &TestDatabase<'_>, base: &str) -> Command {
    let mut command = with_mails(db, base);
    command.env("NOTIFICATIONS_SLACK_WEBHOOK_URL", format!("{base}slack"));
    command
}

/// Runs `deliver` in all its ways, and finds what is amiss in the plans of its statements.
async fn amiss(server: &Server, db: &TestDatabase<'_>, base: &str) -> Findings {
    tell_plans(db).await;
    let before = server.log().len();
    let dry_run = start(deliver_all(db, base).args(["--dry-run", "--limit", "100"]));
    assert!(dry_run.end().await.status.success());
    let first = report(deliver_all(db, base).args(["--limit", "300"])).await;
    assert!(first["delivered"].as_u64() > Some(200), "{first}");
    let disabled = first["disabled"].as_array().map(Vec::len);
    assert_eq!(disabled, Some(1), "{first}");
    // Mails are the next.
    db.execute(
        "/* the test */ UPDATE notification_deliveries SET next_attempt_at = now() - interval '3 h'
          WHERE status = 'pending' AND target = 'email'",
    )
    .await;
    // Where they stood before is out of the index.
    db.execute("VACUUM notification_deliveries").await;
    report(deliver_all(db, base).args(["--limit", "20"])).await;
    // Nothing is open any more, but for targets that open again at once; and no mail can be sent.
    db.execute(
        "/* the test */ UPDATE notification_deliveries SET next_attempt_at = now() + interval '1 h'
          WHERE status = 'pending' AND target NOT IN (
                SELECT target FROM notification_delivery_targets WHERE paused_until IS NOT NULL LIMIT 3);
         /* the test */ UPDATE notification_delivery_targets SET paused_until = now() + interval '1 s'
          WHERE target IN (SELECT target FROM notification_deliveries WHERE status = 'pending' AND next_attempt_at <= now())",
    )
    .await;
    db.execute("VACUUM notification_deliveries").await;
    report(&mut bare(db)).await;
    // As many mails as are promoted at once wait for the pause of their target to end.
    db.execute(
        "/* the test */ INSERT INTO notification_delivery_targets (target, paused_until) VALUES ('email', now() + interval '1 h')
             ON CONFLICT (target) DO UPDATE SET paused_until = excluded.paused_until",
    )
    .await;
    report(&mut deliver_all(db, base)).await;
    let log = server.log();

    let mut findings = Findings::new();
    let mut met = BTreeSet::new();
    for plan in plans(&log[before..]) {
        let query = plan["Query Text"].as_str().expect("a statement");
        // A foreign key, or the test's own.
        if query.ends_with("FOR KEY SHARE OF x") || query.contains("/* the test */") {
            continue;
        }
        let known = STATEMENTS.iter().find(|(_, text)| query.contains(text));
        let Some((name, _)) = known else {
            panic!("whose statement is this? {query}");
        };
        met.insert(*name);
        // How much waits is counted, once a run, for people to read.
        if !["waiting", "left"].contains(name) {
            examine(name, &plan["Plan"], MOST_ROWS, &mut findings);
        }
    }
    let all: BTreeSet<_> = STATEMENTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(met, all);
    findings
}

#[tokio::test]
async fn follow_what_is_leased() {
    let server = Server::start_with("-c autovacuum=off");
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/gone" => status(410),
        "/broken" => status(500),
        "/emails" => answer(200, &[], "{\"id\": \"1\"}"),
        _ => answer(200, &[], "ok"),
    })
    .await;
    let base = receiver.base();
    let never_analyzed = TestDatabase::on(&server).await;
    never_analyzed.execute(content(&base)).await;
    let analyzed = never_analyzed.twin().await;
    analyzed.execute("ANALYZE").await;
    // As after a mass deletion that was noticed, and a return of the rows that was not.
    let misled = analyzed.twin().await;
    misled
        .execute("UPDATE pg_class SET reltuples = 10 WHERE relnamespace = 'public'::regnamespace AND reltuples > 10")
        .await;
    let mut findings = BTreeMap::new();
    for (name, db) in [
        ("analyzed", analyzed),
        ("never analyzed", never_analyzed),
        ("taken for ten rows each", misled),
    ] {
        let found = amiss(&server, &db, &base).await;
        findings.extend(
            found
                .into_iter()
                .map(|(place, counts)| ((name, place), counts)),
        );
    }
    // A row a target, of which there are as many as leases go through.
    findings.retain(|(_, place), _| {
        !["pauses", "paused"].iter().any(|name| {
            place.starts_with(&format!(
                "{name}: Seq Scan on notification_delivery_targets"
            ))
        })
    });
    assert!(findings.is_empty(), "(rows, pages) too many: {findings:#?}");
}
