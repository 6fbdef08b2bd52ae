//! The real binary at work, to be signalled and waited for.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::report::summary;

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
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }

    /// Waits for its end, which has to be with this code.
    pub(crate) async fn ends(self, code: i32) -> Ended {
        let ended = self.end().await;
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        ended
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

    /// What that report says.
    pub(crate) fn summary(&self) -> String {
        summary(&self.report())
    }
}
