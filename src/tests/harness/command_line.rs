//! Command lines as people type them, run by the real binary, and what is printed.

use std::process::{Command, Output};

use serde_json::Value;

use super::TestDatabase;
use super::process::Ended;

/// The real binary, with a database, nothing else in its environment, and no `.env` near.
pub(crate) fn binary_at(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notify-fan-out"));
    command
        .env_clear()
        .env("DATABASE_URL", url)
        .current_dir(std::env::temp_dir());
    command
}

/// The arguments of a line; single quotes keep spaces together.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Runs a command with the arguments of a line, which has to end with this exit code; what it
/// prints on stdout and stderr comes back.
#[track_caller]
pub(crate) fn ends(mut command: Command, line: &str, code: i32) -> (String, String) {
    let ended = command.args(words(line)).ends(code);
    (ended.stdout, ended.stderr)
}

/// A command that is run to its end, which has to be with the expected exit code.
pub(crate) trait RunCommand {
    #[track_caller]
    fn ends(&mut self, code: i32) -> Ended;

    /// What it prints, if it succeeds.
    #[track_caller]
    fn prints(&mut self) -> String {
        self.ends(0).stdout
    }

    /// What it complains of, ending with this code.
    #[track_caller]
    fn fails(&mut self, code: i32) -> String {
        self.ends(code).stderr
    }
}

impl RunCommand for Command {
    fn ends(&mut self, code: i32) -> Ended {
        let output = self.output().expect("the program");
        let Output { status, .. } = output;
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let ended = Ended {
            status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert_eq!(status.code(), Some(code), "{self:?}: {ended:?}");
        ended
    }
}

impl TestDatabase<'_> {
    /// The program with this database, as the job's role.
    pub(crate) fn binary(&self) -> Command {
        binary_at(&self.url())
    }

    /// As the owner of its tables.
    pub(crate) fn binary_as_owner(&self) -> Command {
        binary_at(&self.superuser_url())
    }

    /// Runs a command line with the rights of the job's role.
    #[track_caller]
    pub(crate) fn ends(&self, line: &str, code: i32) -> (String, String) {
        ends(self.binary(), line, code)
    }

    /// What a command line that succeeds prints.
    #[track_caller]
    pub(crate) fn prints(&self, line: &str) -> String {
        self.ends(line, 0).0
    }

    /// What a command line that ends with this code complains of.
    #[track_caller]
    pub(crate) fn fails(&self, line: &str, code: i32) -> String {
        self.ends(line, code).1
    }

    /// The report of a command line that succeeds.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let printed = self.prints(&format!("{line} --format json"));
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// The lines of a dry run with more arguments, and its summary.
    pub(crate) fn dry_run(&self, more: &str) -> (Vec<Value>, Value) {
        let output = self.prints(&format!("run --dry-run --format json {more}"));
        let mut lines = json_lines(&output);
        let summary = lines.pop().expect("a summary");
        (lines, summary)
    }
}

/// The JSON objects of an output, a line each.
pub(crate) fn json_lines(output: &str) -> Vec<Value> {
    let parsed = output.lines().map(serde_json::from_str);
    parsed
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {output}"))
}
