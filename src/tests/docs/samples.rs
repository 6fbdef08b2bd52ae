//! The console samples of the pages show what the program prints.
//!
//! Each ```` ```console ```` block of a page is run from top to bottom against one database of its page.
//! `<!-- given: COMMANDS -->` before a block prepares what it shows. A line `…` stands for lines that are left
//! out; times, durations and random identifiers count as equal. `UPDATE_DOCS=1` writes samples that differ
//! anew, unless they are shortened.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;

use super::links::{pages, root};
use crate::channels::receiver::{Receiver, Request, answer};
use crate::harness::{Server, TestDatabase, succeed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_notify-fan-out");
/// What stands for the address of the receiver in the pages.
const RECEIVER: &str = "https://example.com";

/// A command of a page and what it prints there.
struct Sample<'a> {
    command: &'a str,
    output: String,
}

/// A page with its outputs made anew, and those that differ and can't be.
struct Checked {
    text: String,
    differing: Vec<String>,
}

struct Shell<'s> {
    db: TestDatabase<'s>,
    receiver: Receiver,
    folder: tempfile::TempDir,
}

impl Shell<'_> {
    async fn new(server: &Server) -> Shell<'_> {
        let db = TestDatabase::on(server).await;
        let receiver = Receiver::start(|request: &Request| match request.path.as_str() {
            "/emails" => answer(200, &[], r#"{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}"#),
            "/refused" => answer(401, &[], ""),
            "/failing" => answer(503, &[], ""),
            _ => answer(204, &[], ""),
        })
        .await;
        // The private PostgreSQL of ./run.sh may run as another user.
        let folder = tempfile::Builder::new()
            .permissions(PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        symlink(PROGRAM, folder.path().join("notify-fan-out")).expect("a link");
        let sources = ["run.sh", "scripts"].map(|part| root().join(part));
        succeed(
            Command::new("cp")
                .arg("-r")
                .args(sources)
                .arg(folder.path()),
        );
        Shell {
            db,
            receiver,
            folder,
        }
    }

    fn receiver(&self) -> String {
        self.receiver.base().trim_end_matches('/').to_owned()
    }

    /// Both streams of a command line, as a terminal shows them.
    async fn output(&self, line: &str) -> String {
        let mut command = self.command();
        if line.starts_with("./run.sh") {
            command.env_remove("DATABASE_URL");
        }
        let line = line.replace(RECEIVER, &self.receiver());
        command.arg(format!("exec 2>&1; {line}"));
        let output = tokio::process::Command::from(command).output().await;
        let output = output.expect("a shell");
        let text = String::from_utf8(output.stdout).expect("text");
        // A log file has the time before each result; a terminal does not.
        let logged = Regex::new(r"(?m)^\d{4}-\d\d-\d\dT\S+Z (ERROR )?([A-Z][a-z]|NOTIFY_)")
            .expect("a pattern");
        logged
            .replace_all(&text, |found: &regex::Captures<'_>| {
                let error = found.get(1).map_or("", |_| "error: ");
                format!("{error}{}", &found[2])
            })
            .replace(&self.receiver(), RECEIVER)
            .replace(&format!("{}/", self.folder.path().display()), "")
    }

    fn command(&self) -> Command {
        let server = std::env::var("TEST_PG_BIN").unwrap_or_default();
        let path = format!(
            "{}:{server}:/usr/local/bin:/usr/bin:/bin",
            self.folder.path().display()
        );
        let mut command = Command::new("bash");
        command
            .env_clear()
            .arg("-c")
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("DATABASE_URL", self.db.superuser_url())
            .env("FANOUT_BINARY", PROGRAM)
            .env("FANOUT_PG_BIN", &server)
            .env("APP_BASE_URL", "https://app.example.com")
            .env("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>")
            .env("NOTIFICATIONS_RESEND_API_KEY", "re_S3cret")
            .env("NOTIFY_RESEND_BASE_URL", self.receiver())
            .env("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8")
            .env("NOTIFY_OUTGOING_PLAIN_HTTP", "true")
            .env(
                "NOTIFY_UNSUBSCRIBE_URL",
                "https://app.example.com/unsubscribe",
            )
            .env(
                "NOTIFY_UNSUBSCRIBE_KEY",
                "c2FtcGxlIGtleSBvZiB0aGUgZG9jdW1lbnRhdGlvbiE=",
            );
        command
    }

    async fn check(&self, page: &str) -> Checked {
        let mut text = String::new();
        let mut differing = Vec::new();
        let mut rest = page;
        while let Some((before, block)) = rest.split_once("```console\n") {
            if let Some((_, commands)) = before.rsplit_once("<!-- given: ") {
                let commands = commands
                    .split(" -->")
                    .next()
                    .expect("an end of the commands");
                self.output(commands).await;
            }
            let (block, after) = block.split_once("```").expect("an end of the block");
            text.extend([before, "```console\n"]);
            for sample in samples(block) {
                let output = self.output(sample.command).await;
                let same = is_shown(&normalised(&output), &normalised(&sample.output));
                let shown = if same || is_shortened(&sample.output) {
                    &sample.output
                } else {
                    &output
                };
                text.extend(["$ ", sample.command, "\n", shown]);
                if !same {
                    differing.push(format!("$ {}\n{output}", sample.command));
                }
            }
            text.push_str("```");
            rest = after;
        }
        text.push_str(rest);
        Checked { text, differing }
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        if self.folder.path().join(".local").exists() {
            let _ = self.command().arg("./run.sh db stop").output();
        }
    }
}

fn samples(block: &str) -> Vec<Sample<'_>> {
    let mut samples: Vec<Sample<'_>> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let output = String::new();
            samples.push(Sample { command, output });
        } else {
            let sample = samples.last_mut().expect("a command first");
            sample.output.extend([line, "\n"]);
        }
    }
    samples
}

fn is_shortened(output: &str) -> bool {
    output.lines().any(|line| line.trim() == "…")
}

/// Whether a page shows the output, where each `…` may stand for any lines.
fn is_shown(output: &[String], page: &[String]) -> bool {
    match page {
        [] => output.is_empty(),
        [first, rest @ ..] if first == "…" => {
            (0..=output.len()).any(|skipped| is_shown(&output[skipped..], rest))
        }
        [first, rest @ ..] => output.first() == Some(first) && is_shown(&output[1..], rest),
    }
}

/// The lines with all that differs from run to run replaced, and runs of spaces as one.
fn normalised(text: &str) -> Vec<String> {
    let patterns = [
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)", "TIME"),
        (r"\b\d+(\.\d+)?(ms|µs|[smhd])( \d+[mhs])?\b", "DURATION"),
        (r"seconds=[\d.]+", "seconds=N"),
        (r"\S+:\d+:[0-9a-f]{8}\b", "WORKER"),
        (r"whsec_\S+", "SECRET"),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
            "UUID",
        ),
        (r" +", " "),
        (r" $", ""),
    ];
    let patterns = patterns.map(|(pattern, name)| (Regex::new(pattern).expect("a pattern"), name));
    let replaced = |line: &str| {
        patterns
            .iter()
            .fold(line.to_owned(), |line, (pattern, name)| {
                // What the seed makes is the same in each run.
                let keep = |found: &str| *name == "UUID" && found.starts_with("5eed5eed");
                pattern
                    .replace_all(&line, |found: &regex::Captures<'_>| {
                        if keep(&found[0]) {
                            found[0].to_owned()
                        } else {
                            (*name).to_owned()
                        }
                    })
                    .into_owned()
            })
    };
    text.lines().map(replaced).collect()
}

#[tokio::test]
async fn console_samples_of_the_pages_are_what_the_program_prints() {
    let mut differing = Vec::new();
    let mut written = Vec::<PathBuf>::new();
    for (path, page) in pages() {
        if !page.contains("```console\n") {
            continue;
        }
        let server = Server::shared();
        let checked = Shell::new(server).await.check(&page).await;
        if checked.text != page && std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(root().join(&path), checked.text).expect("the page is written");
            written.push(path.clone());
        }
        let in_page = |text: String| format!("{}:\n{text}", path.display());
        differing.extend(checked.differing.into_iter().map(in_page));
    }
    assert!(
        differing.is_empty(),
        "written anew: {written:?}; the program prints:\n\n{}",
        differing.join("\n")
    );
}
