//! The tables of event types in the docs: what each means, as the first paragraph of its file says, and
//! what its sample shows.

use std::path::Path;

use super::fixture::{completed, sample};
use super::sample::names;
use super::tests::keys;
use super::{EventType, Rendering};
use crate::domain::event::EventRow;
use crate::domain::plan::EmailTiming;

/// Name, meaning, required, optional and e-mail of each type, of operator events or the others.
pub(crate) fn event_types(operator: bool) -> impl Iterator<Item = [String; 5]> {
    let types = EventType::ALL.iter().copied();
    let types = types.filter(move |known| known.is_operator() == operator);
    types.map(|known| {
        // What an empty event lacks, one after the other.
        let (_, required) = completed(known, EventRow::default());
        let optional = keys(known).into_iter().filter(|(key, is_required)| {
            let stands_for_a_column = required.iter().any(|it| it.ends_with(&format!(".{key}")));
            !is_required && !stands_for_a_column
        });
        let optional: Vec<_> = optional.map(|(key, _)| key).collect();
        [
            format!("`{}`", known.name()),
            meaning(known),
            required.join(", "),
            optional.join(", "),
            email(known).to_owned(),
        ]
    })
}

fn meaning(event_type: EventType) -> String {
    let file = format!("src/handlers/{}.rs", event_type.name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).expect("the type's file");
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    lines.collect::<Vec<_>>().join(" ")
}

fn email(event_type: EventType) -> &'static str {
    let event = event_type
        .decode(&sample(event_type))
        .expect("a valid sample");
    let plans = event.plan(&names(Rendering::default()));
    match plans.into_iter().find_map(|plan| plan.email) {
        Some(email) if email.timing == EmailTiming::Immediate => "immediate",
        Some(_) => "aggregated",
        None => "–",
    }
}
