//! What goes wrong with one event stays with that event.

use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World};

/// Bo was given access to Atlas so many times; their notifications and e-mails are not coalesced.
pub(crate) struct Stage {
    pub(crate) db: TestDatabase<'static>,
    world: World,
    bo: Uuid,
    atlas: Uuid,
    pub(crate) events: Vec<i64>,
}

impl Stage {
    pub(crate) async fn new(events: usize) -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let bo = world.user("Bo").await;
        let acme = world.org("Acme", []).await;
        let atlas = world.project("Atlas", acme).await;
        let mut stage = Self {
            db,
            world,
            bo,
            atlas,
            events: Vec::new(),
        };
        stage.grant(events).await;
        stage
    }

    /// So many more of these events.
    pub(crate) async fn grant(&mut self, events: usize) {
        for _ in 0..events {
            let event = self.granted_to(self.bo).await;
            self.events.push(event);
        }
    }

    async fn granted_to(&mut self, user: Uuid) -> i64 {
        let event = self
            .world
            .event("project_access_granted")
            .project(self.atlas);
        event.payload(json!({"affected_user_id": user})).await
    }

    /// The database answers so to whatever is written for one event: a statement of PL/pgSQL.
    pub(crate) async fn answers(&self, event: i64, answer: &str) {
        self.answers_where(&format!("NEW.event_id = {event}"), answer)
            .await;
    }

    /// As [`answers`](Self::answers), for all rows that meet a condition.
    pub(crate) async fn answers_where(&self, condition: &str, answer: &str) {
        self.db
            .execute(format!(
                "CREATE SEQUENCE answers; GRANT USAGE ON SEQUENCE answers TO PUBLIC;
                 CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN IF {condition} THEN {answer}; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER answer BEFORE INSERT ON notifications
                    FOR EACH ROW EXECUTE FUNCTION answer()"
            ))
            .await;
    }

    /// All but the one given are completed, at the first attempt, with their effects.
    pub(crate) async fn assert_others_are_fine(&self, offender: i64) {
        let others = self.events.len() as u64 - 1;
        assert_eq!(
            self.db
                .count(&format!(
                    "notification_processing WHERE event_id <> {offender} AND processing_status = 'completed'
                        AND retry_count = 0 AND error_message IS NULL"
                ))
                .await,
            others
        );
        let written =
            format!("SELECT count(*) || ' ' || count(*) FILTER (WHERE event_id = {offender}) FROM");
        assert_eq!(
            self.db.text(&format!("{written} notifications")).await,
            format!("{others} 0")
        );
        assert_eq!(
            self.db.text(&format!("{written} pending_emails")).await,
            format!("{others} 0")
        );
    }

    /// Whatever waits for another attempt is due.
    pub(crate) async fn time_passes(&self) {
        self.db.execute("UPDATE notification_processing SET next_attempt_at = now() WHERE processing_status = 'pending'").await;
    }
}

#[tokio::test]
async fn a_payload_that_does_not_parse() {
    let mut stage = Stage::new(40).await;
    let offender = stage.events[17];
    stage
        .world
        .execute(format!(
            "UPDATE domain_events SET payload = '{{\"affected_user_id\": 7}}' WHERE id = {offender}"
        ))
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed, report.batches), (39, 1, 1));
    insta::assert_snapshot!(stage.db.state(offender).await, @"failed 0 invalid project_access_granted event: payload.affected_user_id must be a UUID");
    stage.assert_others_are_fine(offender).await;
    assert!(stage.db.run().await.is_idle());
    stage.db.cli(&["run"]).success();
}

/// A row that a constraint refuses never goes in: it is not tried again.
#[tokio::test]
async fn a_row_that_the_database_refuses() {
    let stage = Stage::new(40).await;
    let offender = stage.events[17];
    stage
        .answers(
            offender,
            "RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'",
        )
        .await;
    let run = stage.db.cli(&["run"]).code(3);
    let output = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    assert!(
        output.contains("events=39") && output.contains("failed=1"),
        "{output}"
    );
    insta::assert_snapshot!(stage.db.state(offender).await, @"failed 0 database refused: SQLSTATE 23514: not this one");
    stage.assert_others_are_fine(offender).await;
    assert!(stage.db.run().await.is_idle());
}

/// Two of them, next to each other and at the ends of a batch.
#[tokio::test]
async fn several_offenders() {
    for offenders in [[0, 39], [19, 20], [38, 39]] {
        let stage = Stage::new(40).await;
        stage
            .db
            .execute(format!(
                "ALTER TABLE notifications ADD CHECK (event_id NOT IN ({}, {}))",
                stage.events[offenders[0]], stage.events[offenders[1]]
            ))
            .await;
        let report = stage.db.run().await;
        assert_eq!((report.events, report.failed), (38, 2), "{offenders:?}");
        assert_eq!(stage.db.count("notifications").await, 38);
    }
}

/// An error that may pass is tried again later, and later still, and at last fails.
#[tokio::test]
async fn an_error_that_does_not_pass() {
    let stage = Stage::new(10).await;
    let offender = stage.events[3];
    stage.answers(offender, "RAISE EXCEPTION 'not now'").await;
    let mut states = Vec::new();
    for attempt in 1..=5 {
        let report = stage.db.run().await;
        assert_eq!(
            (report.retried, report.failed),
            if attempt < 5 { (1, 0) } else { (0, 1) }
        );
        let minutes = stage
            .db
            .text(&format!(
                "SELECT CASE processing_status WHEN 'pending'
                        THEN 'in ' || ceil(extract(epoch FROM next_attempt_at - now()) / 60) || ' min' ELSE 'over' END
                   FROM notification_processing WHERE event_id = {offender}"
            ))
            .await;
        states.push(format!("{}: {minutes}", stage.db.state(offender).await));
        // Before its time it is left alone.
        assert!(stage.db.run().await.is_idle());
        stage.time_passes().await;
    }
    insta::assert_snapshot!(states.join("\n"), @"
    pending 0 database refused: SQLSTATE P0001: not now: in 1 min
    pending 1 database refused: SQLSTATE P0001: not now: in 2 min
    pending 2 database refused: SQLSTATE P0001: not now: in 4 min
    pending 3 database refused: SQLSTATE P0001: not now: in 8 min
    failed 4 out of attempts: database refused: SQLSTATE P0001: not now: over
    ");
    stage.assert_others_are_fine(offender).await;
    assert!(stage.db.run().await.is_idle());
}

#[tokio::test]
async fn an_error_that_passes() {
    let stage = Stage::new(10).await;
    let offender = stage.events[3];
    stage.answers(offender, "RAISE EXCEPTION 'not now'").await;
    for _ in 0..2 {
        stage.db.run().await;
        assert_eq!(stage.db.count("notifications").await, 9);
        stage.time_passes().await;
    }
    stage
        .db
        .execute("DROP TRIGGER answer ON notifications")
        .await;
    stage.db.run().await;
    assert_eq!(stage.db.count("notifications").await, 10);
    // The error that has passed is forgotten.
    assert_eq!(stage.db.state(offender).await, "completed 2");
}

/// Serialization failures are charged to nobody: the same batch is written again.
#[tokio::test]
async fn serialization_failures() {
    // Where a lock is waited for, it is parts of the batch that are.
    for (sqlstate, batches) in [("40001", 1), ("40P01", 1), ("55P03", 2)] {
        let stage = Stage::new(10).await;
        let answer = format!(
            "IF nextval('answers') <= 3 THEN RAISE EXCEPTION 'again' USING ERRCODE = '{sqlstate}'; END IF"
        );
        stage.answers(stage.events[3], &answer).await;
        let report = stage.db.run().await;
        assert_eq!(
            (report.events, report.retried, report.failed, report.batches),
            (10, 0, 0, batches),
            "{sqlstate}"
        );
        assert_eq!(stage.db.count("notifications").await, 10);
        assert_eq!(
            stage
                .db
                .count("notification_processing WHERE retry_count > 0")
                .await,
            0
        );
    }
}

/// Where they don't end, only the event that causes them waits.
#[tokio::test]
async fn serialization_failures_without_end() {
    let stage = Stage::new(6).await;
    stage
        .answers(
            stage.events[3],
            "RAISE EXCEPTION 'again' USING ERRCODE = '40001'",
        )
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.failed), (5, 1, 0));
    stage.assert_others_are_fine(stage.events[3]).await;
    insta::assert_snapshot!(stage.db.state(stage.events[3]).await, @"pending 0 database refused: SQLSTATE 40001: again");
}

/// An event over which the server ends the connection each time: it, too, waits alone.
#[tokio::test]
async fn an_event_that_breaks_the_connection() {
    let stage = Stage::new(10).await;
    let offender = stage.events[3];
    stage
        .answers(offender, "PERFORM pg_terminate_backend(pg_backend_pid())")
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.failed), (9, 1, 0));
    stage.assert_others_are_fine(offender).await;
    insta::assert_snapshot!(stage.db.state(offender).await, @"pending 0 database refused: SQLSTATE 57P01: terminating connection due to administrator command");
}

/// A real deadlock, which the worker loses: it writes the batch again.
#[tokio::test]
async fn a_deadlock() {
    let stage = Stage::new(5).await;
    // Having locked its events, the worker asks for lock 1 and then for lock 2.
    stage
        .answers(
            stage.events[2],
            "PERFORM pg_advisory_xact_lock(1), pg_advisory_xact_lock(2)",
        )
        .await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(stage.db.text(deadlocks).await, "0");
    let first = stage.db.hold("SELECT pg_advisory_xact_lock(1)").await;
    // This one never looks for deadlocks itself, so that it is not the one to lose.
    let mut second = stage
        .db
        .hold("SET LOCAL deadlock_timeout = '1h'; SELECT pg_advisory_xact_lock(2)")
        .await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        let rows = "SELECT FROM notification_processing FOR UPDATE";
        let ((), ()) = tokio::join!(second.execute(rows), async {
            let waits = "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND query LIKE 'SELECT FROM notification_processing%' AND wait_event_type = 'Lock')";
            stage.db.until(waits).await;
            first.release().await;
        });
        second.release().await;
    });
    // The whole batch again, as it was: nobody is charged.
    assert_eq!((report.events, report.retried, report.failed), (5, 0, 0));
    assert_eq!(report.batches, 1);
    assert_eq!(stage.db.count("notifications").await, 5);
    stage
        .db
        .until("(SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) = 1")
        .await;
}

/// Bo is gone before the worker looks who is concerned.
#[tokio::test]
async fn a_person_deleted_after_the_claim() {
    let mut stage = Stage::new(3).await;
    let cy = stage.world.user("Cy").await;
    stage.granted_to(cy).await;
    let mut hold = stage
        .db
        .hold("LOCK TABLE notifications IN SHARE MODE")
        .await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        hold.execute("DELETE FROM profiles WHERE full_name = 'Bo'")
            .await;
        hold.release().await;
    });
    assert_eq!(
        (
            report.events,
            report.notifications,
            report.failed,
            report.retried
        ),
        (4, 1, 0, 0)
    );
    assert_eq!(
        stage.db.statuses().await,
        [("completed".to_owned(), 4)].into()
    );
    insta::assert_snapshot!(stage.db.titles().await, @"
    Cy by mail, immediate: Someone gave you view access to Atlas (project Atlas Atlas)
    Cy: Someone gave you view access to Atlas
    ");
}

/// Bo is gone after the worker has looked, and before it has written: a foreign key finds out.
#[tokio::test]
async fn a_person_deleted_while_being_written() {
    let mut stage = Stage::new(3).await;
    let cy = stage.world.user("Cy").await;
    stage.granted_to(cy).await;
    stage
        .answers(stage.events[0], "PERFORM pg_advisory_xact_lock_shared(1)")
        .await;
    let mut hold = stage.db.hold("SELECT pg_advisory_xact_lock(1)").await;
    let (report, ()) = tokio::join!(stage.db.run(), async {
        stage.db.until_waiting(1).await;
        hold.execute("DELETE FROM profiles WHERE full_name = 'Bo'")
            .await;
        hold.release().await;
    });
    assert_eq!(
        (
            report.events,
            report.notifications,
            report.failed,
            report.retried
        ),
        (4, 1, 0, 0)
    );
    assert_eq!(stage.db.count("notifications").await, 1);
    assert_eq!(
        stage.db.statuses().await,
        [("completed".to_owned(), 4)].into()
    );
}

/// The event itself is deleted, and its processing row with it.
#[tokio::test]
async fn an_event_deleted_after_the_claim() {
    let stage = Stage::new(3).await;
    let worker = stage.db.stopped_after_its_claim().await;
    stage
        .db
        .execute(format!(
            "DELETE FROM domain_events WHERE id = {}",
            stage.events[1]
        ))
        .await;
    worker.signal("CONT");
    let report = worker.end().await.report();
    let counts = ["events", "lost_claims", "notifications"].map(|count| report[count].clone());
    assert_eq!(counts, [2, 1, 2]);
}

/// A lock that nobody lets go of for long: the event waits for another attempt, and says why.
#[tokio::test]
async fn a_table_that_stays_locked() {
    let stage = Stage::new(1).await;
    let hold = stage
        .db
        .hold("LOCK TABLE pending_emails IN SHARE MODE")
        .await;
    let mut hasty = stage.db.binary();
    // No statement outlives a claim.
    hasty.env("NOTIFY_FANOUT_STUCK_AFTER", "1s");
    let ended = Worker::start(&mut hasty).end().await;
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    insta::assert_snapshot!(stage.db.state(stage.events[0]).await, @"pending 0 database refused: SQLSTATE 57014: canceling statement due to statement timeout");
    hold.release().await;
    stage.time_passes().await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.notifications), (1, 1));
}

/// PostgreSQL stores numbers and depths that the program can't hold: they matter to nobody under a key
/// that nobody reads.
#[tokio::test]
async fn a_payload_beyond_all_bounds() {
    let stage = Stage::new(5).await;
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    for (event, extra) in [(stage.events[1], "1e400"), (stage.events[3], &deep)] {
        stage
            .db
            .execute(format!(
                "UPDATE domain_events SET payload = payload || '{{\"extra\": {extra}}}' WHERE id = {event}"
            ))
            .await;
    }
    stage.db.cli(&["run", "--dry-run"]).success();
    let event = stage.events[1].to_string();
    stage.db.cli(&["explain", &event]).success();
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed), (5, 0));
}

/// Times that no calendar of the program holds, and a name that can't be read.
#[tokio::test]
async fn times_and_names_beyond_all_bounds() {
    let mut stage = Stage::new(4).await;
    let kickoff = stage.world.meeting("Kick-off", [stage.bo]).await;
    let invited = stage.world.event("meeting_updated").meeting(kickoff).await;
    for (event, time) in [(0, "infinity"), (1, "-infinity"), (2, "294276-12-31 23:00")] {
        stage
            .db
            .execute(format!(
                "UPDATE notification_processing SET occurred_at = '{time}' WHERE event_id = {0};
                 UPDATE domain_events SET occurred_at = '{time}' WHERE id = {0};
                 UPDATE meetings SET start_time = 'infinity'",
                stage.events[event]
            ))
            .await;
        stage
            .db
            .cli(&["explain", &stage.events[event].to_string()])
            .success();
    }
    let report = stage.db.run().await;
    assert_eq!((report.events, report.expired, report.failed), (4, 1, 0));
    assert!(stage.db.state(invited).await.starts_with("completed"));
    stage.db.cli(&["status"]).success();
}

/// A view of the application that fails for one of its rows.
#[tokio::test]
async fn a_name_that_cannot_be_read() {
    let mut stage = Stage::new(6).await;
    let offender = stage.events[3];
    stage
        .world
        .execute(format!(
            "INSERT INTO projects SELECT gen_random_uuid(), 'Broken', owner_org_id FROM projects LIMIT 1;
             ALTER TABLE projects RENAME TO all_projects;
             CREATE VIEW projects AS SELECT id, CASE WHEN name = 'Broken' THEN (1 / (length(name) - 6))::text ELSE name END AS name, owner_org_id FROM all_projects;
             GRANT SELECT ON projects TO PUBLIC;
             UPDATE domain_events SET project_id = (SELECT id FROM all_projects WHERE name = 'Broken') WHERE id = {offender}"
        ))
        .await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.failed), (5, 1));
    insta::assert_snapshot!(stage.db.state(offender).await, @"failed 0 database refused: SQLSTATE 22012: division by zero");
    stage.assert_others_are_fine(offender).await;
}

/// What the role may not write is said of each event, and nothing is lost.
#[tokio::test]
async fn a_right_that_is_revoked() {
    let stage = Stage::new(3).await;
    let role = stage
        .db
        .text("SELECT grantee FROM information_schema.role_table_grants WHERE table_name = 'pending_emails' AND grantee LIKE 'notify%' LIMIT 1")
        .await;
    let revoke = format!(
        "REVOKE ALL ON pending_emails FROM {role}; REVOKE ALL (event_id, user_id) ON pending_emails FROM {role}"
    );
    stage.db.execute(revoke).await;
    let report = stage.db.run().await;
    assert_eq!((report.events, report.retried, report.failed), (0, 3, 0));
    insta::assert_snapshot!(stage.db.state(stage.events[0]).await, @"pending 0 database refused: SQLSTATE 42501: permission denied for table pending_emails");
}

/// A row of the queue whose event is gone stands in nobody's way.
#[tokio::test]
async fn an_event_that_is_gone() {
    let stage = Stage::new(3).await;
    let gone = stage.events[0];
    stage
        .db
        .execute(format!(
            "ALTER TABLE notification_processing DROP CONSTRAINT notification_processing_event_id_fkey;
             DELETE FROM domain_events WHERE id = {gone}"
        ))
        .await;
    let settings = notify_fan_out::fan_out::Settings {
        batch_size: 1,
        ..stage.db.settings()
    };
    let report = stage.db.run_with(&settings).await;
    assert_eq!((report.events, report.failed), (2, 1));
    insta::assert_snapshot!(stage.db.state(gone).await, @"failed 0 the event is gone, or hidden from the job's role");
}

/// An application's function that fails for one document only.
#[tokio::test]
async fn a_rule_of_the_application_that_fails() {
    let mut stage = Stage::new(6).await;
    let acme = stage.world.org("Zeta", [stage.bo]).await;
    let report = stage.world.document("Report", acme, stage.atlas).await;
    let event = stage
        .world
        .event("document_uploaded")
        .project(stage.atlas)
        .document(report);
    let offender = event.await;
    stage.events.push(offender);
    stage
        .db
        .execute(
            "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
             LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE EXCEPTION 'no idea'; END $$",
        )
        .await;
    let run = stage.db.run().await;
    assert_eq!((run.events, run.retried), (6, 1));
    stage.assert_others_are_fine(offender).await;
    insta::assert_snapshot!(stage.db.state(offender).await, @"pending 0 database refused: SQLSTATE P0001: no idea");
}
