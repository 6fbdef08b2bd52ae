//! notify-fan-out turns domain events that an application has committed into in-app notifications,
//! e-mails and messages to outside channels: written exactly once and sent at least once, however
//! often it is killed. PostgreSQL is the queue.
//!
//! A trigger puts a pending row beside each event. `fan_out` claims events in batches, asks the
//! `handlers` what each means for whom, and lets the database expand that to recipients, write it and
//! settle the events, in one fenced transaction; operator events are also queued for `endpoints`.
//! `delivery` leases what is queued, sends it and records the result: `templates` render e-mails,
//! `unsubscribe` signs and reads unsubscribe addresses, `channels` send messages. `ops` shows,
//! retries and prunes. `cli` puts it all on a command line. `domain` knows nothing of SQL.

pub use cli::run_command_line;

mod cli;
mod config;
mod daemon;
mod http;
mod telemetry;

// Public for the integration tests and the benchmark alone.
#[doc(hidden)]
pub mod channels;
#[doc(hidden)]
pub mod db;
#[doc(hidden)]
pub mod delivery;
#[doc(hidden)]
pub mod domain;
#[doc(hidden)]
pub mod endpoints;
#[doc(hidden)]
pub mod fan_out;
#[doc(hidden)]
pub mod handlers;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod seed;
#[doc(hidden)]
pub mod templates;
#[doc(hidden)]
pub mod unsubscribe;

#[cfg(test)]
#[path = "tests/docs/generated.rs"]
mod generated_docs;
