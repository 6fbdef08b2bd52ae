//! Servers, connections and networks that go away and come back.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::http::{answering, until_unready};
use super::{
    ASLEEP, DAEMONS, NEVER, SOON, announced, assert_failed_only_by, command, disconnect,
    is_completed, serve, serve_at, stopped,
};
use crate::harness::{Server, TestDatabase, unprivileged_folder, until};

const TERMINATED: &str = "terminating connection due to administrator command";

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let daemon = serve(&db, &[NEVER]);
    let crash = |server: &Server| {
        server.crash();
        server.start_again();
    };
    for (title, disturb) in [
        ("Kick-off", Server::restart as fn(&Server)),
        ("Review", crash),
    ] {
        db.until(ASLEEP).await;
        disturb(&server);
        let event = announced(&db, title).await;
        db.until(&is_completed(event)).await;
    }
    let ended = stopped(daemon).await;
    assert!(ended.stderr.contains("works again"), "{ended:?}");
}

/// The oldest connection of a daemon's watcher.
const WATCHER: &str = "SELECT min(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'notify-fan-out serve%'";

#[tokio::test]
async fn a_listening_connection_that_is_cut_is_replaced() {
    let db = TestDatabase::new().await;
    let daemon = serve(&db, &[NEVER]);
    db.until(ASLEEP).await;
    let before = db.text(WATCHER).await;
    db.execute(format!("SELECT pg_terminate_backend(({WATCHER}))"))
        .await;
    // Nobody is notified of this one while there is no connection.
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    db.until(ASLEEP).await;
    let event = announced(&db, "Review").await;
    db.until(&is_completed(event)).await;
    assert_ne!(db.text(WATCHER).await, before);
    stopped(daemon).await;
}

/// What stands between falls silent and closes nothing.
#[tokio::test]
async fn a_silent_connection_is_noticed_and_replaced() {
    let db = TestDatabase::new().await;
    let (proxy, url) = db.behind_proxy();
    let daemon = serve_at(&url, &[SOON]);
    db.until(ASLEEP).await;
    proxy.fall_silent_from(1);
    let log = daemon.until_logged("watcher waits").await;
    assert!(log.contains("no answer from"), "{log}");
    proxy.fall_silent_from(0);
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    let log = daemon.until_logged("watcher works again").await;
    assert_eq!(log.matches("watcher waits").count(), 1, "{log}");
    stopped(daemon).await;
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_waited_for() {
    let server = Server::start_with("-c max_connections=20 -c superuser_reserved_connections=5");
    let db = TestDatabase::on(&server).await;
    let daemon = serve(&db, &[NEVER]);
    db.until(ASLEEP).await;
    daemon.signal("STOP");
    disconnect(&db).await;
    db.until(&format!("NOT EXISTS (SELECT FROM {DAEMONS})"))
        .await;
    let mut taken = Vec::new();
    while let Ok(connection) = PgConnection::connect(&db.url()).await {
        taken.push(connection);
    }
    daemon.signal("CONT");
    let event = announced(&db, "Kick-off").await;
    // Once for the connection that was lost, then for the one that is not to be had.
    let refused = "remaining connection slots";
    until(refused, || server.log().matches(refused).count() > 3).await;
    daemon.until_logged("watcher waits").await;
    drop(taken);
    db.until(&is_completed(event)).await;
    let ended = stopped(daemon).await;
    assert!(ended.stderr.contains("works again"), "{ended:?}");
    assert_failed_only_by(&server, &[refused, TERMINATED]);
}

/// As some hosts do when the disk is nearly full.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_waited_for_without_a_flood_of_log_lines() {
    let server = Server::start_with("-c log_connections=on");
    let db = TestDatabase::on(&server).await;
    let (daemon, address) = answering(command(&db)).await;
    db.until(ASLEEP).await;
    let read_only = |value: &str| {
        format!(
            "ALTER DATABASE {} SET default_transaction_read_only = {value}",
            db.name()
        )
    };
    db.execute(read_only("on")).await;
    disconnect(&db).await;
    until_unready(address, "is read-only").await;
    // Attempts are connections, with growing pauses.
    let attempts = || server.log().matches("connection authorized").count();
    let before = attempts();
    until("ten connections", || attempts() >= before + 10).await;
    let log = daemon.logged();
    assert!(!log.contains("works again"), "{log}");
    db.execute(format!("BEGIN READ WRITE; {}; COMMIT", read_only("off")))
        .await;
    daemon.until_logged("watcher works again").await;
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    stopped(daemon).await;
    // A listening connection that is dropped is closed without a goodbye.
    assert_failed_only_by(&server, &[TERMINATED, "connection to client lost"]);
}

/// The address leads to another server, first as a standby and then as the primary.
#[tokio::test]
async fn a_failover_to_a_standby_is_survived() {
    let server = Server::start();
    let db = TestDatabase::on(&server).await;
    let folder = unprivileged_folder();
    let address = folder.path().join("server");
    let lead_to = |server: &Server| {
        let next = folder.path().join("next");
        symlink(server.socket().0, &next).expect("a link");
        std::fs::rename(&next, &address).expect("the link");
    };
    lead_to(&server);
    let in_url = |folder: &str| folder.replace('/', "%2F");
    let url = db.url().replace(
        &in_url(&server.socket().0),
        &in_url(address.to_str().expect("a path")),
    );
    let mut command = command(&db);
    command.env("DATABASE_URL", url);
    let (daemon, address) = answering(command).await;
    db.until(ASLEEP).await;
    let event = announced(&db, "Kick-off").await;
    db.until(&is_completed(event)).await;
    let standby = server.standby();
    lead_to(&standby);
    server.crash();
    until_unready(address, "is read-only").await;
    let twin = db.as_on(&standby);
    twin.execute("SELECT pg_promote()").await;
    twin.until("NOT pg_is_in_recovery()").await;
    let event = announced(&twin, "Review").await;
    twin.until(&is_completed(event)).await;
    assert_eq!(twin.count("notifications").await, 2);
    stopped(daemon).await;
}

/// Attempts are counted by what accepts and closes at once.
#[tokio::test]
async fn an_unreachable_database_is_tried_ever_more_rarely() {
    let db = TestDatabase::new().await;
    let (proxy, url) = db.behind_proxy();
    let mut sockets = std::fs::read_dir(proxy.folder()).expect("a folder");
    let socket = sockets.next().expect("a socket").expect("a socket").path();
    let daemon = serve_at(&url, &[NEVER]);
    db.until(ASLEEP).await;
    std::fs::remove_file(&socket).expect("the proxy's socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let attempts = Arc::<Mutex<Vec<Instant>>>::default();
    let counted = Arc::clone(&attempts);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            counted.lock().expect("attempts").push(Instant::now());
            drop(client);
        }
    });
    disconnect(&db).await;
    let count = || attempts.lock().expect("attempts").len();
    until("seven attempts", || count() >= 7).await;
    let attempts = attempts.lock().expect("attempts").clone();
    // Half of 100 + 200 + 400 + 800 + 1600 ms is the least of the pauses.
    let took = attempts[6].duration_since(attempts[0]);
    assert!(took > Duration::from_millis(1_500), "{took:?}");
    drop(daemon);
}
