//! The real binary at work, to be signalled and waited for.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::TestDatabase;

/// A process of the job. Killed with the value.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Read while it runs: a full pipe would stop it.
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From the call of [`Worker::end`].
    pub(crate) after: Duration,
}

impl Worker {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        Self {
            stdout: child.stdout.take().map(read),
            stderr: child.stderr.take().map(read),
            child,
        }
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success(), "kill -s {name}: {status}");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// The most memory that it ever had, while it runs. (What its parent gets to know after its end counts
    /// the parent's own.)
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = peak.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes * 1_024)
    }

    /// Waits for its end, which has to come within a minute.
    pub(crate) async fn end(mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(
                since.elapsed() < Duration::from_mins(1),
                "the job does not end"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let text = |reader: Option<JoinHandle<String>>| {
            let reader = reader.expect("a pipe");
            reader.join().expect("text")
        };
        Ended {
            status,
            after: since.elapsed(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("a child");
    }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    })
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program complains of, behind the time and the level of the log's entry.
pub(crate) fn complaint(stderr: &str) -> &str {
    let (_, text) = stderr.split_once(" ERROR ").expect("an error");
    text.trim_end()
}

impl Ended {
    /// The report that `--format json` prints.
    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl TestDatabase<'_> {
    /// A worker that has committed its claim and is stopped before anything else, as if it were
    /// out of breath. The signal `CONT` lets it go on.
    pub(crate) async fn stopped_after_its_claim(&self) -> Worker {
        self.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON notification_processing
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
                WHEN (NEW.processing_status = 'processing') EXECUTE FUNCTION wait()",
        )
        .await;
        let hold = self.hold("SELECT pg_advisory_xact_lock(77)").await;
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
