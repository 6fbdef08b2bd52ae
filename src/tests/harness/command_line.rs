//! Command lines as people type them, and what is printed.

use std::process::Command;

use serde_json::Value;

use super::TestDatabase;

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
pub(crate) fn ends(command: Command, line: &str, code: i32) -> (String, String) {
    let mut command = assert_cmd::Command::from_std(command);
    let assert = command.args(words(line)).assert().code(code);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let output = assert.get_output();
    (text(&output.stdout), text(&output.stderr))
}

impl TestDatabase<'_> {
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

    /// The report of a command line that succeeds.
    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        let printed = self.prints(&format!("{line} --format json"));
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }
}
