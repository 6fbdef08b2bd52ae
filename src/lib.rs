//! notify-fan-out turns domain events that an application has committed into in-app notifications,
//! e-mails and messages to outside channels: written exactly once and sent at least once, however
//! often it is killed. PostgreSQL is the queue.
//!
//! Events come with a trigger's pending row beside them. [`fan_out`] claims them in batches, asks
//! the [`handlers`] what each means for whom, and lets the database expand that to people, write
//! it and settle the events, in one fenced transaction, with what [`endpoints`] are to hear of
//! operator events. [`delivery`] leases what is queued, sends it and records what became of it:
//! [`templates`] put mails into words, [`unsubscribe`] lets people out of them, [`channels`] carry a
//! message to the world outside. [`ops`] looks after what has gathered. [`cli`] puts it all on a
//! command line. [`domain`] knows nothing of SQL.

pub use cli::run_command_line;

#[doc(hidden)]
pub mod channels;
pub mod cli;
pub mod config;
pub mod db;
pub mod delivery;
pub mod domain;
#[doc(hidden)]
pub mod endpoints;
pub mod fan_out;
pub mod handlers;
pub mod metrics;
pub mod ops;
pub mod seed;
pub mod telemetry;
pub mod templates;
#[doc(hidden)]
pub mod unsubscribe;

#[cfg(test)]
#[path = "tests/docs/generated.rs"]
mod generated_docs;
