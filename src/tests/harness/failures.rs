//! What goes wrong, made on purpose: workers that are stopped, cut off or gone, and a database that refuses.

use super::{Hold, TestDatabase, Worker};

/// The job's connections to a test's database.
const WORKERS: &str =
    "pg_stat_activity WHERE datname = current_database() AND application_name = 'notify-fan-out'";
/// Locks that [`TestDatabase::hold_at`] waits for.
const GATE: i64 = 77;

impl TestDatabase<'_> {
    /// A transaction that runs `statements`, so as to hold what they lock, until it is let go.
    pub(crate) async fn hold(&self, statements: &str) -> Hold {
        Hold::new(self.connect().await, statements).await
    }

    /// Nobody can write notifications, until it is let go.
    pub(crate) async fn hold_notifications(&self) -> Hold {
        self.hold("LOCK TABLE notifications IN SHARE MODE").await
    }

    /// Whoever comes to a place waits there, until it is let go. A place is written as
    /// `TRIGGER wait BEFORE INSERT ON notifications FOR EACH ROW`.
    pub(crate) async fn hold_at(&self, place: &str) -> Hold {
        self.execute(format!(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NEW; END $$;
             CREATE {place} EXECUTE FUNCTION wait()"
        ))
        .await;
        self.hold(&format!("SELECT pg_advisory_xact_lock({GATE})"))
            .await
    }

    /// As [`Self::hold_at`], in the commit of whatever gives an event this status: what follows is the server's answer.
    pub(crate) async fn hold_at_commit(&self, status: &str) -> Hold {
        self.hold_at(&format!(
            "CONSTRAINT TRIGGER wait AFTER UPDATE ON notification_processing
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.processing_status = '{status}')"
        ))
        .await
    }

    /// The database answers so, a statement of PL/pgSQL, to each notification that meets a condition. `answers`
    /// is a sequence for it.
    pub(crate) async fn answers(&self, condition: &str, answer: &str) {
        self.execute(format!(
            "CREATE SEQUENCE answers; GRANT USAGE ON SEQUENCE answers TO PUBLIC;
             CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF {condition} THEN {answer}; END IF; RETURN NEW; END $$;
             CREATE TRIGGER answer BEFORE INSERT ON notifications
                FOR EACH ROW EXECUTE FUNCTION answer()"
        ))
        .await;
    }

    /// As [`Self::answers`], with an error of this SQLSTATE and text.
    pub(crate) async fn refuses(&self, condition: &str, sqlstate: &str, text: &str) {
        let answer = format!("RAISE EXCEPTION '{text}' USING ERRCODE = '{sqlstate}'");
        self.answers(condition, &answer).await;
    }

    /// Waits until so many of the job's connections wait for a lock.
    pub(crate) async fn until_waiting(&self, workers: u32) {
        self.until(&format!(
            "SELECT count(*) = {workers} FROM {WORKERS} AND wait_event_type = 'Lock'"
        ))
        .await;
    }

    /// Waits until the server has noticed that no worker is left.
    pub(crate) async fn until_workers_are_gone(&self) {
        self.until(&format!("NOT EXISTS (SELECT FROM {WORKERS})"))
            .await;
    }

    /// The server ends the connections of all workers.
    pub(crate) async fn disconnect_workers(&self) {
        self.execute(format!("SELECT pg_terminate_backend(pid) FROM {WORKERS}"))
            .await;
    }

    /// An hour passes for what is claimed: its worker is taken for dead.
    pub(crate) async fn claims_grow_old(&self) {
        self.execute(
            "UPDATE notification_processing SET claimed_at = claimed_at - interval '1 h'
              WHERE processing_status = 'processing'",
        )
        .await;
    }

    /// Whatever waits for another attempt is due.
    pub(crate) async fn time_passes(&self) {
        self.execute(
            "UPDATE notification_processing SET next_attempt_at = now() WHERE processing_status = 'pending'",
        )
        .await;
    }

    /// A worker that has committed its claim and is stopped before anything else, as if it were
    /// out of breath. The signal `CONT` lets it go on.
    pub(crate) async fn stopped_after_its_claim(&self) -> Worker {
        let hold = self.hold_at_commit("processing").await;
        let worker = Worker::start(self.binary().args(["run", "--format", "json"]));
        // In its commit: what follows is the server's answer, which it does not receive any more.
        self.until_waiting(1).await;
        worker.signal("STOP");
        hold.release().await;
        self.until(
            "EXISTS (SELECT FROM notification_processing WHERE processing_status = 'processing')",
        )
        .await;
        self.execute("DROP TRIGGER wait ON notification_processing")
            .await;
        worker
    }
}
