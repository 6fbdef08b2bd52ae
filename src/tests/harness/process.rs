//! The real binary at work, to be signalled and waited for.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::report::summary;
use super::until;

/// A process of the job. Killed with the value.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Read while it runs: a full pipe would stop it.
    stdout: Option<Output>,
    stderr: Option<Output>,
}

/// What came through a pipe until now.
#[derive(Debug)]
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
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

    /// What it has logged until now.
    pub(crate) fn logged(&self) -> String {
        let output = self.stderr.as_ref().expect("a pipe");
        String::from_utf8_lossy(&locked(&output.bytes)).into_owned()
    }

    /// Waits until it has logged this; its log until then comes back.
    pub(crate) async fn until_logged(&self, text: &str) -> String {
        until(text, || self.logged().contains(text)).await;
        self.logged()
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
        let text = |output: Option<Output>| {
            let output = output.expect("a pipe");
            output.reader.join().expect("bytes");
            let bytes = locked(&output.bytes).clone();
            String::from_utf8(bytes).expect("text")
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

fn read(mut pipe: impl Read + Send + 'static) -> Output {
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let shared = Arc::clone(&bytes);
    let reader = std::thread::spawn(move || {
        let mut part = [0; 4_096];
        loop {
            match pipe.read(&mut part).expect("bytes") {
                0 => return,
                length => locked(&shared).extend_from_slice(&part[..length]),
            }
        }
    });
    Output { bytes, reader }
}

fn locked(bytes: &Mutex<Vec<u8>>) -> std::sync::MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() && self.stderr.is_some() {
            eprintln!("{}", self.logged());
        }
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
