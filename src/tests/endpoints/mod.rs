//! `endpoint`: what is added is reached, shown without its secrets, and kept as it should be.

mod refused;
mod secrets;
mod sending;
mod state;

use std::process::Command;

use notify_fan_out::channels::signature::{SigningSecret, signatures};
use serde_json::Value;

use crate::channels::receiver::Request;
use crate::harness::{TestDatabase, Worker, binary_at, words};

const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// What must be read nowhere.
const HIDDEN: [&str; 4] = [
    "T0kenOfTheRoom",
    "Bearer 0fTheTenant",
    "ada.okafor",
    "16098765432",
];

type Environment<'a> = &'a [(&'a str, &'a str)];

/// This machine may be reached, in the clear.
const LOCAL: [(&str, &str); 2] = [
    ("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8"),
    ("NOTIFY_OUTGOING_PLAIN_HTTP", "true"),
];

/// A command and how it ended: its code, and what it printed.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.stdout + &self.stderr
    }
}

/// `endpoint` with the arguments of a line, with the tables' owner's rights.
async fn endpoint(db: &TestDatabase<'_>, environment: Environment<'_>, line: &str) -> Ran {
    run(binary_at(&db.superuser_url()), environment, line).await
}

async fn run(mut command: Command, environment: Environment<'_>, line: &str) -> Ran {
    command.arg("endpoint").args(words(line));
    command.envs(environment.iter().copied());
    let ended = Worker::start(&mut command).end().await;
    Ran {
        code: ended.status.code(),
        stdout: ended.stdout,
        stderr: ended.stderr,
    }
}

fn keyed(key: &str) -> [(&str, &str); 3] {
    [LOCAL[0], LOCAL[1], ("NOTIFY_SECRET_KEY", key)]
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Nothing of what must be read nowhere is in a text.
#[track_caller]
fn assert_redacted(text: &str) {
    let shown = HIDDEN.iter().find(|hidden| text.contains(**hidden));
    assert_eq!(shown, None, "{text}");
}

/// The secret that a command shows, and that it shows it once.
#[track_caller]
fn shown_secret(stdout: &str) -> SigningSecret {
    assert_eq!(stdout.matches("whsec_").count(), 1, "{stdout}");
    let shown = stdout.lines().find(|line| line.contains("whsec_"));
    shown.expect("a secret").parse().expect("a secret")
}

/// Whether a request bears the signatures of exactly these secrets, in their order.
#[track_caller]
fn assert_signed(request: &Request, secrets: &[SigningSecret]) {
    let at = request.headers["webhook-timestamp"]
        .parse()
        .expect("a time");
    let at = chrono::DateTime::from_timestamp(at, 0).expect("a time");
    let expected = signatures(secrets, &request.headers["webhook-id"], at, &request.body);
    assert_eq!(request.headers["webhook-signature"], expected);
}

async fn settings(db: &TestDatabase<'_>, name: &str) -> String {
    let query = format!("SELECT settings FROM notification_endpoints WHERE name = '{name}'");
    db.text(&query).await
}
