//! What the tests stand on: databases of their own on a real PostgreSQL, a small world to fill
//! them with, the real binary, and the rows that come out in a form to compare.
//!
//! ```ignore
//! let db = TestDatabase::new().await;
//! let mut world = db.world().await;
//! let [ada, bo] = world.users(["Ada", "Bo"]).await;
//! let budget = world.thread("Budget", [ada, bo]).await;
//! world.event("chat_message_sent").actor(ada).thread(budget).await;
//! db.run().await;
//! insta::assert_snapshot!(db.notified().await, @"…");
//! ```
//!
//! Nothing sleeps to give another side time: [`TestDatabase::until`] and [`until`] poll a condition,
//! [`TestDatabase::hold`] holds a lock, [`TestDatabase::until_waiting`] sees that a worker waits
//! for it.

mod command_line;
mod database;
mod deliveries;
mod failures;
mod hold;
mod pooler;
mod process;
mod proxy;
mod report;
mod rows;
mod server;
mod template;
mod world;

pub(crate) use command_line::{RunCommand, binary_at, ends, json_lines, words};
pub(crate) use database::{TestDatabase, database_at, migrate};
pub(crate) use deliveries::Delivery;
pub(crate) use hold::Hold;
pub(crate) use pooler::Pooler;
pub(crate) use process::{Ended, Worker, complaint};
pub(crate) use report::Summary;
pub(crate) use server::{Server, psql, server_program, succeed, unprivileged_folder};
pub(crate) use world::{ACME, ADA, ATLAS, BO, BUDGET, CY, GIA, KICKOFF, OLGA, REPORT, World, id};

/// Waits until a condition is met. Fails the test when it takes too long.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !condition() {
        assert!(since.elapsed() < DEADLINE, "never became true: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// How long a condition is waited for before a test fails.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
