//! The benchmark. `scripts/bench.sh` starts the database server that it needs.

mod audience;
mod claim;
mod client;
mod deliver;
mod history;
mod horizon;
mod job;
mod lab;
mod limit;
mod load;
mod machine;
mod options;
#[expect(dead_code, reason = "what the tests disturb is not disturbed here")]
mod proxy;
mod sample;
mod section;
mod soak;
mod statements;
mod writer;

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
    let before = options
        .before
        .as_deref()
        .map(statements::of_earlier)
        .transpose()?;
    anyhow::ensure!(
        before.is_none() || options.measures(Measurement::Statements),
        "--before compares the statements, which --only leaves out"
    );
    eprintln!("building the world …");
    let mut lab = Lab::build(options, "bench".to_owned()).await?;
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
        let now = statements::measure(&mut lab).await?;
        let compared = before
            .map(|before| statements::compare(&before, &now.json))
            .transpose()?;
        add(now);
        compared.into_iter().for_each(&mut add);
    }
    if lab.options.measures(Measurement::Writer) {
        add(writer::measure(&mut lab).await?);
    }
    let claim = lab.options.measures(Measurement::Claim);
    let idle = lab.options.measures(Measurement::Idle);
    if claim || idle {
        let mut histories = Histories::build(&lab.options).await?;
        if claim {
            add(histories.claims().await?);
        }
        if idle {
            add(histories.idle().await?);
        }
        if claim {
            add(histories.horizon().await?);
        }
    }
    if lab.options.measures(Measurement::Audience) {
        let mut lab = audience::build(&lab.options).await?;
        add(audience::alone(&mut lab).await?);
        add(audience::others(&mut lab).await?);
    }
    if lab.options.measures(Measurement::Deliver) {
        add(deliver::measure(&mut lab).await?);
    }
    if lab.options.measures(Measurement::Client) {
        add(client::measure(&mut lab).await?);
    }
    if lab.options.measures(Measurement::Soak) {
        for section in soak::measure(&mut lab).await? {
            add(section);
        }
    }
    if let Some(path) = lab.options.plans.clone() {
        statements::plans(&mut lab, &path).await?;
    }
    if let Some(path) = json {
        std::fs::write(path, format!("{:#}\n", Value::Object(results)))?;
    }
    Ok(())
}
