//! Types and pure functions that know nothing of SQL, HTTP or the clock.

pub mod backoff;
pub mod base_url;
pub mod event;
pub mod payload;
pub mod plan;
pub mod text;
