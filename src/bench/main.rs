//! The benchmark. `scripts/bench.sh` starts the database server that it needs.
//!
//! It measures the binary from outside, as whole processes: what a user would measure.

mod deliver;
mod history;
mod job;
mod lab;
mod limit;
mod load;
mod machine;
mod options;
#[expect(dead_code, reason = "only the tests cut connections")]
#[path = "../tests/harness/proxy.rs"]
mod proxy;
mod refused;
mod sample;
mod section;
mod serve;
mod statements;

use clap::Parser;
use serde_json::{Map, Value};

use history::Histories;
use lab::Lab;
use options::{Measurement, Options};
use section::Section;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let json = options.json.clone();
    eprintln!("building the world …");
    let mut lab = Lab::build(options.clone(), "bench".to_owned()).await?;
    let mut results = Map::new();
    let mut add = |section: Section| {
        section.print();
        results.insert(section.name.to_owned(), section.json);
    };
    add(machine::describe(&mut lab).await?);
    if options.measures(Measurement::Load) {
        add(load::measure(&mut lab).await?);
    }
    if options.measures(Measurement::Statements) {
        add(statements::round_trips(&mut lab).await?);
        add(statements::measure(&mut lab).await?);
    }
    if options.measures(Measurement::Refused) {
        add(refused::measure(&mut lab).await?);
    }
    let claim = options.measures(Measurement::Claim);
    let idle = options.measures(Measurement::Idle);
    if claim || idle {
        let mut histories = Histories::build(&options).await?;
        // First: the events that the claims leave behind are looked at again for some minutes.
        if idle {
            add(histories.idle().await?);
        }
        if claim {
            add(histories.claims().await?);
        }
    }
    if options.measures(Measurement::Serve) {
        add(serve::latency(&mut lab).await?);
        add(serve::commits(&mut lab).await?);
        add(serve::idle(&mut lab).await?);
    }
    if options.measures(Measurement::Deliver) {
        add(deliver::measure(&mut lab).await?);
    }
    if let Some(path) = json {
        std::fs::write(path, format!("{:#}\n", Value::Object(results)))?;
    }
    Ok(())
}
