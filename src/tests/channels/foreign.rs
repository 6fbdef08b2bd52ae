//! Programs of others that run beside a test.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A program that tells in lines of JSON what it has to tell, and ends when its input does, so
/// that none outlives a test that was killed.
pub(crate) struct Foreign {
    _child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Foreign {
    /// Runs a script that lies beside the tests, by the program that `variable` names.
    pub(crate) fn start(variable: &str, script: &str, arguments: &[&str]) -> Self {
        let program = from_environment(variable);
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/tests/channels")
            .join(script);
        let mut child = Command::new(program)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a program");
        let input = child.stdin.take().expect("an input");
        let output = child.stdout.take().expect("an output");
        Self {
            _child: child,
            input,
            lines: BufReader::new(output).lines(),
        }
    }

    /// What it tells next.
    pub(crate) async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), self.lines.next_line());
        let line = next.await.expect("a line in time").expect("a line");
        serde_json::from_str(&line.expect("a program that still runs")).expect("JSON")
    }

    /// What it tells next, however long that takes; `None` when it has ended.
    pub(crate) async fn next_if_any(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Sends a line, and reads the next.
    pub(crate) async fn ask(&mut self, question: &Value) -> Value {
        let line = format!("{question}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .expect("an input");
        self.next().await
    }
}

/// A path that `scripts/test.sh` gives.
pub(crate) fn from_environment(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(path) if !path.is_empty() => path,
        _ => panic!("{variable} is not set: call ./scripts/test.sh"),
    }
}
