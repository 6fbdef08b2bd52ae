//! The benchmark. `scripts/bench.sh` starts the database server that it needs.

mod job;
mod lab;
mod load;
mod machine;
mod options;
mod proxy;
mod sample;
mod section;
mod statements;

use clap::Parser;
use serde_json::{Map, Value};

use lab::Lab;
use options::{Measurement, Options};
use section::Section;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let json = options.json.clone();
    eprintln!("building the world …");
    let mut lab = Lab::build(options).await?;
    let mut results = Map::new();
    let mut add = |section: Section| {
        section.print();
        results.insert(section.name.to_owned(), section.json);
    };
    add(machine::describe(&mut lab).await?);
    if lab.options.measures(Measurement::Load) {
        add(load::measure(&mut lab).await?);
    }
    if lab.options.measures(Measurement::Statements) {
        add(statements::round_trips(&mut lab).await?);
        add(statements::measure(&mut lab).await?);
    }
    if let Some(path) = lab.options.plans.clone() {
        statements::plans(&mut lab, &path).await?;
    }
    if let Some(path) = json {
        std::fs::write(path, format!("{:#}\n", Value::Object(results)))?;
    }
    Ok(())
}
