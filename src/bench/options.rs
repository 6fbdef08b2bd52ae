//! What is measured, and at what size.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the job against what the database itself needs for the same rows.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "scripts/bench.sh",
    bin_name = "scripts/bench.sh",
    after_help = "\
Examples:
  scripts/bench.sh                              everything
  scripts/bench.sh --quick                      the same at a small size, to see that it works
  scripts/bench.sh load statements              where the time of the default load goes
  scripts/bench.sh claim idle --history 100000,10000000
  scripts/bench.sh deliver --messages 50000     delivery alone"
)]
pub(crate) struct Options {
    /// Measure only this
    #[arg(value_enum, value_name = "WHAT")]
    only: Vec<Measurement>,
    /// Write the result to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Small sizes and few runs: shows that it works, and no more
    #[arg(long)]
    pub(crate) quick: bool,
    /// Runs of each measurement; medians are shown [default: 5]
    #[arg(long)]
    runs: Option<u32>,
    /// Processes at once
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub(crate) workers: Vec<u32>,
    /// Events of the load [default: 20000]
    #[arg(long)]
    events: Option<u32>,
    /// Completed events behind the claim and the idle run, besides none [default: 1000000]
    #[arg(long, value_delimiter = ',')]
    history: Vec<u32>,
    /// Failed events, and events that are not due yet, beside the longest history [default: 100000]
    #[arg(long)]
    beside: Option<u32>,
    /// Messages of each kind that are delivered [default: 10000]
    #[arg(long)]
    messages: Option<u32>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// The size of the world around the events, by the names that world.sql knows it by. `grants`,
/// `participants` and `attendees` are people per project, thread and meeting; `preferences` are users in
/// per cent.
pub(crate) const WORLD: [(&str, u32); 10] = [
    ("users", 20_000),
    ("orgs", 500),
    ("projects", 1_000),
    ("grants", 30),
    ("documents", 5_000),
    ("threads", 3_000),
    ("participants", 12),
    ("meetings", 3_000),
    ("attendees", 6),
    ("preferences", 30),
];

/// One thing that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// The mixed load against its limit
    Load,
    /// Time, round trips and commits per statement of the load
    Statements,
    /// The load where the database refuses none, a tenth and half of the events
    Refused,
    /// One claim with and without a history behind it
    Claim,
    /// A run with nothing due
    Idle,
    /// The daemon: latency, what commits pay for it, and its cost while idle
    Serve,
    /// Delivery to fast receivers against the same client without a database
    Deliver,
}

impl Options {
    pub(crate) fn measures(&self, what: Measurement) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }

    pub(crate) fn runs(&self) -> u32 {
        self.size(self.runs, 5, 2).max(1)
    }

    /// The sizes of history, none at all first.
    pub(crate) fn history(&self) -> Vec<u32> {
        let mut sizes = match self.history.as_slice() {
            [] => vec![self.size(None, 1_000_000, 20_000)],
            given => given.to_vec(),
        };
        sizes.push(0);
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    pub(crate) fn beside(&self) -> u32 {
        self.size(self.beside, 100_000, 2_000)
    }

    pub(crate) fn messages(&self) -> u32 {
        self.size(self.messages, 10_000, 500)
    }

    pub(crate) fn events(&self) -> u32 {
        self.size(self.events, 20_000, 2_000)
    }

    fn size(&self, given: Option<u32>, usual: u32, quick: u32) -> u32 {
        given.unwrap_or(if self.quick { quick } else { usual })
    }
}
