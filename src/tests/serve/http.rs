//! Health and metrics over HTTP.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, Instant};

use prometheus_parse::{Scrape, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{ALL_DONE, NEVER, announced, command, stopped};
use crate::harness::{Server, TestDatabase, Worker};

/// A daemon that answers on a free port, and its address.
pub(super) async fn answering(mut command: Command) -> (Worker, SocketAddr) {
    let daemon = Worker::start(command.args(["--listen", "127.0.0.1:0"]).envs([NEVER]));
    daemon.until_logged("waiting for events").await;
    let log = daemon.logged();
    let (_, address) = log.split_once("answering at http://").expect("an address");
    let address = address.lines().next().expect("an address").trim();
    (daemon, address.parse().expect("an address"))
}

/// Status and body.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    let status = head.split(' ').nth(1).expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}

/// Waits until the daemon is not ready for this reason.
pub(super) async fn until_unready(address: SocketAddr, reason: &str) {
    let since = Instant::now();
    loop {
        let (_, why) = get(address, "/readyz").await;
        if why.contains(reason) {
            return;
        }
        assert!(since.elapsed().as_secs() < 30, "never {reason}: {why}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a path answers with this status; the body comes back.
async fn until(address: SocketAddr, path: &str, status: u16) -> String {
    let since = Instant::now();
    loop {
        let (given, body) = get(address, path).await;
        if given == status {
            return body;
        }
        assert!(since.elapsed().as_secs() < 30, "{path}: {given} {body}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As a program of others reads them.
async fn scrape(address: SocketAddr) -> Scrape {
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200, "{body}");
    let lines = body.lines().map(|line| Ok(line.to_owned()));
    Scrape::parse(lines).expect("Prometheus' text format")
}

/// The value of the only sample of a metric with this label; without one if it is empty.
fn value(scrape: &Scrape, metric: &str, label: &str) -> String {
    let metric = format!("notify_fan_out_{metric}");
    let samples = scrape.samples.iter().filter(|sample| {
        sample.metric == metric
            && (label.is_empty() || sample.labels.values().any(|value| value == label))
    });
    let values: Vec<_> = samples.map(|sample| sample.value.clone()).collect();
    match values[..] {
        [Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value)] => value.to_string(),
        _ => panic!("{metric} {label}: {values:?} of {:#?}", scrape.samples),
    }
}

#[tokio::test]
async fn metrics_tell_what_was_done_and_what_woke_the_daemon() {
    let db = TestDatabase::new().await;
    let (daemon, address) = answering(command(&db)).await;
    assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
    until(address, "/readyz", 200).await;
    db.until(super::ASLEEP).await;
    let before = scrape(address).await;
    assert_eq!(value(&before, "daemon_wake_ups_total", "notify"), "0");
    announced(&db, "Kick-off").await;
    db.until(ALL_DONE).await;
    db.until(super::ASLEEP).await;
    let after = scrape(address).await;
    for (metric, label, expected) in [
        ("events_total", "completed", "1"),
        ("notifications_total", "", "1"),
        ("daemon_ready", "", "1"),
        ("daemon_wake_mode", "listen", "1"),
        ("daemon_wake_mode", "poll", "0"),
        ("daemon_wake_ups_total", "notify", "1"),
        ("daemon_wake_ups_total", "start", "1"),
        ("daemon_busy_workers", "", "0"),
    ] {
        assert_eq!(value(&after, metric, label), expected, "{metric} {label}");
    }
    assert_eq!(get(address, "/elsewhere").await.0, 404);
    stopped(daemon).await;
}

#[tokio::test]
async fn a_daemon_is_unready_while_the_database_is_away_and_says_why() {
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let (daemon, address) = answering(command(&db)).await;
    announced(&db, "Kick-off").await;
    db.until(ALL_DONE).await;
    until(address, "/readyz", 200).await;
    server.crash();
    let why = until(address, "/readyz", 503).await;
    assert!(why.starts_with("watcher: "), "{why}");
    daemon.until_logged("watcher waits").await;
    assert_eq!(get(address, "/healthz").await.0, 200);
    let away = scrape(address).await;
    assert_eq!(value(&away, "daemon_ready", ""), "0");
    assert_eq!(value(&away, "notifications_total", ""), "1");
    server.start_again();
    until(address, "/readyz", 200).await;
    assert_eq!(value(&scrape(address).await, "daemon_ready", ""), "1");
    stopped(daemon).await;
}

#[tokio::test]
async fn a_database_that_refuses_connections_is_named_at_once() {
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let (daemon, address) = answering(command(&db)).await;
    server.crash();
    // A socket of nobody's.
    let (folder, port) = server.socket();
    let socket = std::path::Path::new(&folder).join(format!(".s.PGSQL.{port}"));
    drop(UnixListener::bind(&socket).expect("a socket"));
    until_unready(address, "refused").await;
    std::fs::remove_file(&socket).expect("the socket");
    server.start_again();
    until(address, "/readyz", 200).await;
    stopped(daemon).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_at_the_start() {
    let db = TestDatabase::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let mut command = command(&db);
    let refused = Worker::start(command.env("NOTIFY_HTTP_LISTEN", &address));
    let refused = refused.ends(2).await;
    for part in ["NOTIFY_HTTP_LISTEN", &address] {
        assert!(refused.stderr.contains(part), "{refused:?}");
    }
}
