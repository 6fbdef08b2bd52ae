//! The job against a real PostgreSQL, most of all where things go wrong. `scripts/test.sh` starts
//! the server; what the tests have in common is in [`harness`].

mod adoption;
mod batches;
mod can_view;
mod channels;
mod coalescing;
mod command_line;
mod crowds;
mod dead_letters;
mod deliver;
mod delivery_proofs;
mod delivery_upkeep;
mod docs;
mod doctor;
mod dry_run;
mod endpoints;
mod event_types;
mod exactly_once;
mod explain;
mod failures;
mod grants;
mod harness;
mod lifecycle;
mod operator_events;
mod plans;
mod pooler;
mod preferences;
mod restart;
mod rls;
mod seed;
mod silence;
mod statements;
mod templates;
mod trigger;
mod unsubscribe;
mod upkeep;
