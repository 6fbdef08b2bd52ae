//! What a daemon costs that has nothing to do.

use super::{ASLEEP, SOON, command, stopped};
use crate::harness::{Server, TestDatabase, Worker, until};

/// The text of a look begins so.
const LOOK: &str = "-- What a waiting daemon has to know";

/// The statements of daemons that the server has logged.
fn statements(server: &Server) -> Vec<String> {
    let log = server.log();
    let ours = log
        .lines()
        .filter(|line| line.starts_with("notify-fan-out"));
    ours.filter(|line| line.contains("execute") || line.contains("statement:"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn an_idle_daemon_does_nothing_but_look_and_writes_nothing() {
    let server = Server::start_with("-c log_statement=all -c log_line_prefix=%a:");
    let db = TestDatabase::on(&server).await;
    let daemon = Worker::start(command(&db).envs([SOON]));
    db.until(ASLEEP).await;
    // A worker looks once at the start.
    let is_claimed = || {
        let statements = statements(&server);
        let mut rest = statements
            .iter()
            .skip_while(|line| !line.contains("Claims due events"));
        rest.any(|line| line.contains("COMMIT"))
    };
    until("the first claim", is_claimed).await;
    // The first look of a daemon that sleeps.
    let before = statements(&server).len() + 2;
    until("looks", || statements(&server).len() >= before + 6).await;
    let idle = statements(&server).split_off(before);
    let others: Vec<_> = idle.iter().filter(|line| !line.contains(LOOK)).collect();
    assert!(others.is_empty(), "{others:#?}");
    stopped(daemon).await;
    // Connections that have ended have reported what they wrote.
    db.until(&format!("NOT EXISTS (SELECT FROM {})", super::DAEMONS))
        .await;
    let written =
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables";
    assert_eq!(db.text(written).await, "0");
    super::assert_failed_only_by(&server, &[]);
}
