//! What goes wrong with one event stays with that event.

use crate::harness::{ATLAS, BO, RunCommand as _, Summary as _, TestDatabase, Worker, World};

/// Bo was given access to Atlas so many times; their notifications and e-mails are not coalesced.
pub(crate) struct Stage {
    pub(crate) db: TestDatabase<'static>,
    world: World,
    pub(crate) events: Vec<i64>,
}

impl Stage {
    pub(crate) async fn new(events: usize) -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        world.user("Bo").await;
        world.acme([]).await;
        let mut stage = Self {
            db,
            world,
            events: Vec::new(),
        };
        stage.grant(events).await;
        stage
    }

    /// So many more of these events.
    pub(crate) async fn grant(&mut self, events: usize) {
        for _ in 0..events {
            let event = self.world.granted(BO, ATLAS).await;
            self.events.push(event);
        }
    }

    /// All but the one given are completed, at the first attempt, with their effects.
    pub(crate) async fn assert_others_are_fine(&self, offender: i64) {
        let others = self.events.len() as u64 - 1;
        let completed = format!(
            "notification_processing WHERE event_id <> {offender} AND processing_status = 'completed'
                AND retry_count = 0 AND error_message IS NULL"
        );
        assert_eq!(self.db.count(completed).await, others);
        for table in ["notifications", "pending_emails"] {
            let written = self.db.text(format!(
                "SELECT count(*) || ' ' || count(*) FILTER (WHERE event_id = {offender}) FROM {table}"
            ));
            assert_eq!(written.await, format!("{others} 0"), "{table}");
        }
    }
}

/// A payload that does not parse, a row that a constraint refuses, one that a deferred one refuses at the
/// commit, as it may the settling itself, and a name that can't be read: such an event fails at once, and is
/// not tried again.
#[tokio::test]
async fn event_that_can_never_be_written_fails_alone() {
    let mut states = Vec::new();
    for break_it in [
        "UPDATE domain_events SET payload = '{\"affected_user_id\": 7}' WHERE id = OFFENDER",
        "ALTER TABLE notifications ADD CONSTRAINT not_this_one CHECK (event_id <> OFFENDER)",
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = 'check_violation'; END $$;
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON notifications DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.event_id = OFFENDER) EXECUTE FUNCTION late()",
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'not settled' USING ERRCODE = 'check_violation'; END $$;
         CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON notification_processing DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.event_id = OFFENDER AND NEW.processing_status = 'completed') EXECUTE FUNCTION late()",
        // A view of the application that fails for one of its rows.
        "INSERT INTO projects SELECT gen_random_uuid(), 'Broken', owner_org_id FROM projects LIMIT 1;
         ALTER TABLE projects RENAME TO all_projects;
         CREATE VIEW projects AS SELECT id, CASE WHEN name = 'Broken' THEN (1 / (length(name) - 6))::text ELSE name END AS name, owner_org_id FROM all_projects;
         GRANT SELECT ON projects TO PUBLIC;
         UPDATE domain_events SET project_id = (SELECT id FROM all_projects WHERE name = 'Broken') WHERE id = OFFENDER",
    ] {
        let stage = Stage::new(20).await;
        // The last one, which is tried without a probe.
        let offender = stage.events[19];
        let break_it = break_it.replace("OFFENDER", &offender.to_string());
        stage.db.execute(break_it).await;
        let output = stage.db.binary().arg("run").ends(3).stdout;
        assert!(output.contains("events=19"), "{output}");
        states.push(stage.db.state(offender).await);
        stage.assert_others_are_fine(offender).await;
        assert!(stage.db.run().await.is_idle());
        stage.db.prints("run");
    }
    insta::assert_snapshot!(states.join("\n"), @r#"
    failed 0 invalid project_access_granted event: payload.affected_user_id must be a UUID
    failed 0 database refused: SQLSTATE 23514: new row for relation "notifications" violates check constraint "not_this_one"
    failed 0 database refused: SQLSTATE 23514: too late
    failed 0 database refused: SQLSTATE 23514: not settled
    failed 0 database refused: SQLSTATE 22012: division by zero
    "#);
}

/// Two of them, next to each other and at the ends of a batch.
#[tokio::test]
async fn several_offenders_fail_alone() {
    for offenders in [[0, 39], [19, 20], [38, 39]] {
        let stage = Stage::new(40).await;
        let [one, other] = offenders.map(|no| stage.events[no]);
        let check = format!("CHECK (event_id NOT IN ({one}, {other}))");
        let check = format!("ALTER TABLE notifications ADD {check}");
        stage.db.execute(check).await;
        let report = stage.db.run().await.summary();
        let expected = "events=38 notifications=38 emails=38 failed=2";
        assert_eq!(report, expected, "{offenders:?}");
    }
}

/// Later, and later still; and at last it fails.
#[tokio::test]
async fn error_that_may_pass_is_tried_again() {
    let stage = Stage::new(10).await;
    let offender = stage.events[3];
    let condition = format!("NEW.event_id = {offender}");
    stage.db.refuses(&condition, "P0001", "not now").await;
    let due = format!(
        "SELECT CASE processing_status WHEN 'pending'
                THEN 'in ' || ceil(extract(epoch FROM next_attempt_at - now()) / 60) || ' min' ELSE 'over' END
           FROM notification_processing WHERE event_id = {offender}"
    );
    let mut states = Vec::new();
    for _ in 1..=5 {
        let report = stage.db.run().await;
        let counts = format!("{} {}", report.retried, report.failed);
        let due = stage.db.text(&due).await;
        let found = stage.db.state(offender).await;
        states.push(format!("{counts} {found}: {due}"));
        // Before its time it is left alone.
        assert!(stage.db.run().await.is_idle());
        stage.db.time_passes().await;
    }
    insta::assert_snapshot!(states.join("\n"), @"
    1 0 pending 0 database refused: SQLSTATE P0001: not now: in 1 min
    1 0 pending 1 database refused: SQLSTATE P0001: not now: in 2 min
    1 0 pending 2 database refused: SQLSTATE P0001: not now: in 4 min
    1 0 pending 3 database refused: SQLSTATE P0001: not now: in 8 min
    0 1 failed 4 out of attempts: database refused: SQLSTATE P0001: not now: over
    ");
    stage.assert_others_are_fine(offender).await;
    assert!(stage.db.run().await.is_idle());
}

#[tokio::test]
async fn error_that_has_passed_is_forgotten() {
    let stage = Stage::new(10).await;
    let offender = stage.events[3];
    let condition = format!("NEW.event_id = {offender}");
    stage.db.refuses(&condition, "P0001", "not now").await;
    for _ in 0..2 {
        stage.db.run().await;
        assert_eq!(stage.db.count("notifications").await, 9);
        stage.db.time_passes().await;
    }
    let over = "DROP TRIGGER answer ON notifications";
    stage.db.execute(over).await;
    stage.db.run().await;
    assert_eq!(stage.db.count("notifications").await, 10);
    assert_eq!(stage.db.state(offender).await, "completed 2");
}

/// They are charged to nobody: the same batch is written again.
#[tokio::test]
async fn serialization_failures_are_charged_to_nobody() {
    // Where a lock is waited for, it is parts of the batch that are.
    for (sqlstate, batches) in [("40001", 1), ("40P01", 1), ("55P03", 2)] {
        let stage = Stage::new(10).await;
        let answer = format!(
            "IF nextval('answers') <= 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{sqlstate}'; END IF"
        );
        let condition = format!("NEW.event_id = {}", stage.events[3]);
        stage.db.answers(&condition, &answer).await;
        let report = stage.db.run().await;
        assert_eq!((report.events, report.batches), (10, batches), "{sqlstate}");
        assert_eq!(stage.db.count("notifications").await, 10);
        let charged = "notification_processing WHERE retry_count > 0";
        assert_eq!(stage.db.count(charged).await, 0);
    }
}

/// A serialization failure that does not end, a server that ends the connection over it each time, a function of
/// the application that fails for one document: only the event that causes it waits.
#[tokio::test]
async fn event_that_causes_an_error_each_time_waits_alone() {
    let mut states = Vec::new();
    for answer in [
        "RAISE EXCEPTION 'again' USING ERRCODE = '40001'",
        "PERFORM pg_terminate_backend(pg_backend_pid())",
    ] {
        let stage = Stage::new(10).await;
        let offender = stage.events[3];
        let condition = format!("NEW.event_id = {offender}");
        stage.db.answers(&condition, answer).await;
        let report = stage.db.run().await;
        assert_eq!((report.events, report.retried, report.failed), (9, 1, 0));
        stage.assert_others_are_fine(offender).await;
        states.push(stage.db.state(offender).await);
    }
    let mut stage = Stage::new(6).await;
    let zeta = stage.world.org("Zeta", [BO]).await;
    let report = stage.world.document("Report", zeta, ATLAS).await;
    let offender = stage.world.uploaded(report, ATLAS).await;
    stage.events.push(offender);
    stage
        .db
        .execute(
            "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
             LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no idea'; END $$",
        )
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried), (6, 1));
    stage.assert_others_are_fine(offender).await;
    states.push(stage.db.state(offender).await);
    insta::assert_snapshot!(states.join("\n"), @"
    pending 0 database refused: SQLSTATE 40001: again
    pending 0 database refused: SQLSTATE 57P01: terminating connection due to administrator command
    pending 0 database refused: SQLSTATE P0001: no idea
    ");
}

/// A real one, which the worker loses: it writes the whole batch again, and nobody is charged.
#[tokio::test]
async fn deadlock_is_charged_to_nobody() {
    let stage = Stage::new(5).await;
    let db = &stage.db;
    // Having locked its events, the worker asks for lock 1 and then for lock 2.
    let condition = format!("NEW.event_id = {}", stage.events[2]);
    let locks = "PERFORM pg_advisory_xact_lock(1), pg_advisory_xact_lock(2)";
    db.answers(&condition, locks).await;
    let first = db.hold("SELECT pg_advisory_xact_lock(1)").await;
    // This one never looks for deadlocks itself, so that it is not the one to lose.
    let second = "SET LOCAL deadlock_timeout = '1h'; SELECT pg_advisory_xact_lock(2)";
    let mut second = db.hold(second).await;
    let (report, ()) = tokio::join!(db.run(), async {
        db.until_waiting(1).await;
        let rows = "SELECT FROM notification_processing FOR UPDATE";
        let ((), ()) = tokio::join!(second.execute(rows), async {
            let waits = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND query LIKE 'SELECT FROM notification_processing%' AND wait_event_type = 'Lock')";
            db.until(waits).await;
            first.release().await;
        });
        second.release().await;
    });
    insta::assert_snapshot!(report.summary(), @"events=5 notifications=5 emails=5");
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    db.until(&format!("({deadlocks}) = 1")).await;
}

/// Bo is gone before the worker looks who is concerned; or after that, and before it has written: a foreign key
/// finds out.
#[tokio::test]
async fn person_deleted_after_the_claim_is_skipped() {
    for before_the_look in [true, false] {
        let mut stage = Stage::new(3).await;
        let cy = stage.world.user("Cy").await;
        stage.world.granted(cy, ATLAS).await;
        let db = &stage.db;
        let mut hold = if before_the_look {
            db.hold_notifications().await
        } else {
            db.hold_at("TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW")
                .await
        };
        let (report, ()) = tokio::join!(db.run(), async {
            db.until_waiting(1).await;
            hold.execute("DELETE FROM profiles WHERE full_name = 'Bo'")
                .await;
            hold.release().await;
        });
        assert_eq!(
            (report.notifications, report.failed, report.retried),
            (1, 0, 0)
        );
        assert_eq!(db.standings().await, "completed=4");
        let titles = db.titles().await;
        assert_eq!(
            titles.lines().last(),
            Some("Cy: Someone gave you view access to Atlas")
        );
    }
}

/// The event itself is deleted, and its processing row with it.
#[tokio::test]
async fn event_deleted_after_the_claim_is_not_written() {
    let stage = Stage::new(3).await;
    let worker = stage.db.stopped_after_its_claim().await;
    let gone = format!("DELETE FROM domain_events WHERE id = {}", stage.events[1]);
    stage.db.execute(gone).await;
    worker.signal("CONT");
    let ended = worker.ends(0).await;
    insta::assert_snapshot!(ended.summary(), @"events=2 notifications=2 emails=2 lost_claims=1");
}

/// The event waits for another attempt, and says why.
#[tokio::test]
async fn table_that_stays_locked_is_waited_for_no_longer_than_a_claim_lasts() {
    let stage = Stage::new(1).await;
    let hold = "LOCK TABLE pending_emails IN SHARE MODE";
    let hold = stage.db.hold(hold).await;
    let mut hasty = stage.db.binary();
    hasty.env("NOTIFY_FANOUT_STUCK_AFTER", "1s");
    Worker::start(&mut hasty).ends(0).await;
    insta::assert_snapshot!(stage.db.state(stage.events[0]).await, @"pending 0 database refused: SQLSTATE 57014: canceling statement due to statement timeout");
    hold.release().await;
    stage.db.time_passes().await;
    assert_eq!(stage.db.run().await.events, 1);
}

/// Times that no calendar of the program holds.
#[tokio::test]
async fn times_beyond_all_bounds_are_survived() {
    let mut stage = Stage::new(4).await;
    let kickoff = stage.world.meeting("Kick-off", [BO]).await;
    let invited = stage.world.updated(kickoff).await;
    let db = &stage.db;
    for (event, time) in [(0, "infinity"), (1, "-infinity"), (2, "294276-12-31 23:00")] {
        let event = stage.events[event];
        db.execute(format!(
            "UPDATE notification_processing SET occurred_at = '{time}' WHERE event_id = {event};
             UPDATE domain_events SET occurred_at = '{time}' WHERE id = {event};
             UPDATE meetings SET start_time = 'infinity'"
        ))
        .await;
        db.prints(&format!("explain {event}"));
    }
    let report = db.run().await;
    assert_eq!((report.events, report.expired, report.failed), (4, 1, 0));
    assert!(db.state(invited).await.starts_with("completed"));
    db.prints("status");
}

/// What the role may not write is said of each event, and nothing is lost.
#[tokio::test]
async fn right_that_is_revoked_is_named() {
    let stage = Stage::new(3).await;
    let revoke = "REVOKE ALL ON pending_emails FROM notify_fan_out; REVOKE ALL (event_id, user_id) ON pending_emails FROM notify_fan_out";
    stage.db.execute(revoke).await;
    assert_eq!(stage.db.run().await.summary(), "retried=3");
    insta::assert_snapshot!(stage.db.state(stage.events[0]).await, @"pending 0 database refused: SQLSTATE 42501: permission denied for table pending_emails");
}

/// A row of the queue whose event is gone stands in nobody's way.
#[tokio::test]
async fn row_without_its_event_fails_alone() {
    let stage = Stage::new(3).await;
    let gone = stage.events[0];
    stage
        .db
        .execute(format!(
            "ALTER TABLE notification_processing DROP CONSTRAINT notification_processing_event_id_fkey;
             DELETE FROM domain_events WHERE id = {gone}"
        ))
        .await;
    let report = stage.db.run_in_batches(1).await;
    assert_eq!((report.events, report.failed), (2, 1));
    insta::assert_snapshot!(stage.db.state(gone).await, @"failed 0 the event is gone, or hidden from the job's role");
}
