//! The job against a real PostgreSQL, most of all where things go wrong. `scripts/test.sh` starts
//! the server; what the tests have in common is in [`harness`].

mod coalescing;
mod doctor;
mod event_types;
mod explain;
mod grants;
mod harness;
mod seed;
mod upkeep;
