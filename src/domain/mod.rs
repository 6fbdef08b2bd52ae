//! Types and pure functions that know nothing of SQL, HTTP or the clock.

pub mod announcement;
pub mod backoff;
pub mod base_url;
pub mod body;
pub mod event;
pub mod latency;
pub mod payload;
pub mod plan;
pub mod quantity;
pub mod schedule;
pub mod secret_keys;
pub mod text;
