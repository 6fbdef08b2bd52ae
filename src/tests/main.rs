//! The job against a real PostgreSQL, most of all where things go wrong. `scripts/test.sh` starts
//! the server; what the tests have in common is in [`harness`].

mod adoption;
mod channels;
mod coalescing;
mod command_line;
mod doctor;
mod dry_run;
mod event_types;
mod exactly_once;
mod explain;
mod failures;
mod grants;
mod harness;
mod lifecycle;
mod pooler;
mod preferences;
mod restart;
mod rls;
mod seed;
mod statements;
mod trigger;
mod upkeep;
