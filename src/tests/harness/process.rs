//! The real binary at work, to be signalled and waited for.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process of the job. Killed with the value.
#[derive(Debug)]
pub(crate) struct Worker(Child);

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
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.expect("the binary"))
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.0.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success(), "kill -s {name}: {status}");
    }

    /// Waits for its end, which has to come within a minute.
    pub(crate) async fn end(mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "the job does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let after = since.elapsed();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        // It prints little: no pipe fills up before its end.
        if let Some(pipe) = &mut self.0.stdout {
            pipe.read_to_string(&mut stdout).expect("text");
        }
        if let Some(pipe) = &mut self.0.stderr {
            pipe.read_to_string(&mut stderr).expect("text");
        }
        Ended {
            status,
            stdout,
            stderr,
            after,
        }
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().expect("a child");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ended {
    /// The report that `--format json` prints.
    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
