//! notify-fan-out turns domain events that an application has committed into in-app notifications
//! and queued e-mails: exactly once, however often it is killed. PostgreSQL is the queue.
//!
//! Events come with a trigger's pending row beside them. [`fan_out`] claims them in batches, asks
//! the [`handlers`] what each means for whom, and lets the database expand that to people, write
//! it and settle the events, in one fenced transaction. What chats, programs and phones are to hear of
//! operator events is queued with it. [`templates`] puts queued mails into words;
//! [`unsubscribe`] lets people out of them; [`channels`] send a message to the world outside and
//! say what became of it. [`upkeep`] looks after what has gathered. [`cli`] puts it all on a command
//! line. [`domain`] knows nothing of SQL.

pub mod channels;
pub mod cli;
pub mod config;
pub mod db;
pub mod domain;
pub mod fan_out;
pub mod handlers;
pub mod metrics;
pub mod seed;
pub mod telemetry;
pub mod templates;
pub mod unsubscribe;
pub mod upkeep;
