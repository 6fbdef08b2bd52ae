//! A small world to try handlers on, and plans as a person would read them.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use chrono::DateTime;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{EventType, Lookups, Names, Profile, Rendering};
use crate::domain::announcement::{Announcement, Field};
use crate::domain::event::EventRow;
use crate::domain::plan::{Email, InApp, Plan, PreferenceScopes};
use crate::domain::text;

pub(super) const ADA: Uuid = Uuid::from_u128(0xada);
pub(super) const BO: Uuid = Uuid::from_u128(0xb0);
/// Has neither a name nor an address.
pub(super) const CY: Uuid = Uuid::from_u128(0xc1);
pub(super) const ATLAS: Uuid = Uuid::from_u128(0xa71a);
pub(super) const ACME: Uuid = Uuid::from_u128(0xac3e);
pub(super) const REPORT: Uuid = Uuid::from_u128(0x4e90);
pub(super) const BUDGET: Uuid = Uuid::from_u128(0xb0d9);
pub(super) const KICKOFF: Uuid = Uuid::from_u128(0x41c);
/// No row at all.
pub(super) const GONE: Uuid = Uuid::from_u128(0x6073);

const CALLED: [(Uuid, &str); 9] = [
    (ADA, "ADA"),
    (BO, "BO"),
    (CY, "CY"),
    (ATLAS, "ATLAS"),
    (ACME, "ACME"),
    (REPORT, "REPORT"),
    (BUDGET, "BUDGET"),
    (KICKOFF, "KICKOFF"),
    (GONE, "GONE"),
];

/// Markup, a mention, an address, and a character that turns the line around.
pub(super) const HOSTILE: &str =
    "[Win](https://evil.example) <img src=x> @all **now** `\u{202e}`\n# !";

/// Everything that a lookup would find.
pub(super) fn world() -> Names {
    let person = |name: Option<&str>, email: Option<&str>| Profile {
        full_name: name.map(str::to_owned),
        email: email.map(str::to_owned),
    };
    let one = |id, name: &str| HashMap::from([(id, name.to_owned())]);
    Names {
        people: HashMap::from([
            (ADA, person(Some("Ada"), Some("ada@example.com"))),
            (BO, person(Some(" "), Some("bo@example.com"))),
            (CY, person(None, None)),
        ]),
        projects: one(ATLAS, "Atlas"),
        orgs: one(ACME, "Acme"),
        resources: one(REPORT, "report.pdf"),
        threads: one(BUDGET, "Budget"),
        meetings: one(KICKOFF, "Kick-off"),
        meeting_times: HashMap::from([(KICKOFF, DateTime::UNIX_EPOCH)]),
        rendering: Rendering::default(),
    }
}

/// What is left of `names` when only the rows asked for are looked up.
pub(super) fn looked_up(names: &Names, lookups: &Lookups) -> Names {
    fn only<T: Clone>(rows: &HashMap<Uuid, T>, ids: &BTreeSet<Uuid>) -> HashMap<Uuid, T> {
        let rows = rows.iter().filter(|(id, _)| ids.contains(id));
        rows.map(|(id, row)| (*id, row.clone())).collect()
    }
    Names {
        people: only(&names.people, &lookups.people),
        projects: only(&names.projects, &lookups.projects),
        orgs: only(&names.orgs, &lookups.orgs),
        resources: only(&names.resources, &lookups.resources),
        threads: only(&names.threads, &lookups.threads),
        meetings: only(&names.meetings, &lookups.meetings),
        meeting_times: only(&names.meeting_times, &lookups.meetings),
        rendering: names.rendering.clone(),
    }
}

/// What becomes of an event with every column set, in this world: its plans, or why there are none.
pub(super) fn planned(event_type: EventType, payload: Value) -> String {
    let row = EventRow {
        actor_id: Some(ADA),
        project_id: Some(ATLAS),
        org_id: Some(ACME),
        resource_id: Some(REPORT),
        thread_id: Some(BUDGET),
        meeting_id: Some(KICKOFF),
        ..EventRow::default()
    };
    planned_row(event_type, row, payload)
}

/// The same with every column empty.
pub(super) fn planned_without_columns(event_type: EventType, payload: Value) -> String {
    planned_row(event_type, EventRow::default(), payload)
}

/// The same with the columns given.
pub(super) fn planned_row(event_type: EventType, row: EventRow, payload: Value) -> String {
    let row = EventRow {
        payload: Some(payload),
        ..row
    };
    let text = match event_type.decode(&row) {
        Ok(event) => {
            let mut lookups = Lookups::default();
            event.lookups(&mut lookups);
            let names = looked_up(&world(), &lookups);
            let plans = event.plan(&names);
            let announcement = event.announce(&names);
            if plans.is_empty() && announcement.is_none() {
                "nobody".to_owned()
            } else {
                let told = plans.iter().map(plan);
                told.chain(announcement.as_ref().map(announced)).collect()
            }
        }
        Err(error) => error.to_string(),
    };
    let hostile = json!(HOSTILE).to_string();
    let text = text
        .replace(hostile.trim_matches('"'), "HOSTILE")
        .replace(HOSTILE, "HOSTILE");
    CALLED.iter().fold(text, |text, (id, called)| {
        text.replace(&id.to_string(), called)
    })
}

fn plan(plan: &Plan) -> String {
    let mut text = format!("to {:?}", plan.audience);
    if let Some(actor_id) = plan.actor_id {
        write!(text, " but {actor_id}").unwrap();
    }
    let PreferenceScopes {
        project_id,
        thread_id,
    } = plan.scopes;
    let scopes = [("project", project_id), ("thread", thread_id)];
    for (scope, id) in scopes {
        if let Some(id) = id {
            write!(text, ", {scope} {id}").unwrap();
        }
    }
    if let Some(once_key) = &plan.once_key {
        write!(text, ", once {once_key}").unwrap();
    }
    text.push('\n');
    let data = match &plan.in_app {
        InApp::None => None,
        InApp::Each(message) => Some(("each".to_owned(), message)),
        InApp::Coalesced { key, message } => Some((format!("by {key}"), message)),
    };
    if let Some((how, message)) = &data {
        let [body, link_url] = [&message.body, &message.link_url].map(Option::as_deref);
        writeln!(text, "  app {how}: {}", message.title).unwrap();
        writeln!(text, "    {}", body.unwrap_or("no body")).unwrap();
        writeln!(text, "    {}", link_url.unwrap_or("no link")).unwrap();
        text.push_str(&object(&message.payload, &Map::new()));
    }
    if let Some(Email {
        timing,
        subject,
        body_data,
        project_id,
        project_name,
    }) = &plan.email
    {
        let project = project_id.map(|id| id.to_string()).unwrap_or_default();
        let name = project_name.as_deref().unwrap_or_default();
        writeln!(text, "  mail {timing:?}: {subject} ({project} {name})").unwrap();
        let known = data
            .map(|(_, message)| message.payload.clone())
            .unwrap_or_default();
        text.push_str(&object(body_data, &known));
    }
    text
}

fn announced(announcement: &Announcement) -> String {
    let Announcement {
        org_id,
        project_id,
        channels,
        sms_to,
        message,
        dedup_keys,
    } = announcement;
    let mut text = format!("to endpoints, {}", message.severity.name());
    let scopes = [("org", org_id), ("project", project_id)];
    for (scope, id) in scopes {
        if let Some(id) = id {
            write!(text, ", {scope} {id}").unwrap();
        }
    }
    if let Some(channels) = channels {
        write!(text, ", only {channels:?}").unwrap();
    }
    if let Some(user_id) = sms_to {
        write!(text, ", by phone {user_id}").unwrap();
    }
    writeln!(text, ": {}", message.title).unwrap();
    for line in message.text.lines() {
        writeln!(text, "{}", format!("    {line}").trim_end()).unwrap();
    }
    for Field { name, value } in &message.fields {
        writeln!(text, "    {name}: {value}").unwrap();
    }
    writeln!(
        text,
        "    {}",
        message.link_url.as_deref().unwrap_or("no link")
    )
    .unwrap();
    text.push_str(&object(&message.data, &Map::new()));
    for guard in dedup_keys {
        writeln!(text, "    guard {}", text::clip(&guard.key(), 60)).unwrap();
    }
    text
}

/// The pairs of an object but those that were shown before, a kind of thing a line.
fn object(object: &Map<String, Value>, shown: &Map<String, Value>) -> String {
    let more = object
        .iter()
        .filter(|(key, value)| shown.get(*key) != Some(value));
    let more: Vec<_> = more
        .map(|(key, value)| format!("{key}: {}", text::clip(&value.to_string(), 140)))
        .collect();
    let mut line = format!("    {{{}}}\n", more.join(", "));
    for key in shown.keys().filter(|key| !object.contains_key(*key)) {
        writeln!(line, "    without {key}").unwrap();
    }
    line
}
