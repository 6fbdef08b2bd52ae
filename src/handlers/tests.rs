//! What holds for every event type, whatever the application writes.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::{array, option};
use pulldown_cmark::{Event, Options, Parser, Tag};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fixture::{completed, looked_up, mail, planned, sample, with};
use super::sample::{ADA, NAMED, names};
use super::{EventType, Lookups, Names, Rendering};
use crate::domain::announcement::Announcement;
use crate::domain::body::BodyFormat;
use crate::domain::event::{EventRow, InvalidEvent};
use crate::domain::payload::reads;
use crate::domain::plan::{InApp, Plan};
use crate::domain::text::{self, TITLE_MAX};

/// Markup, a mention, an address, and a character that reverses the line.
const HOSTILE: &str = "[Win](https://evil.example) <img src=x> @all **now** `\u{202e}`\n# !";

/// The payload keys that a type reads, and whether it requires them.
pub(super) fn keys(event_type: EventType) -> BTreeMap<String, bool> {
    let sample = sample(event_type);
    let without = |key: &str| with(sample.clone(), json!({key: null}));
    let given = sample.payload.as_ref().and_then(Value::as_object);
    // What is left out may lead to other keys.
    let less = given.into_iter().flatten().map(|(key, _)| without(key));
    let rows: Vec<_> = less.chain([sample.clone()]).collect();
    reads::take();
    for row in rows {
        let _ = event_type.decode(&row);
        let payload = row.payload;
        let _ = event_type.decode(&EventRow {
            payload,
            ..EventRow::default()
        });
    }
    let keys = reads::take().into_iter();
    keys.map(|key| {
        let is_required = event_type.decode(&without(&key)).is_err();
        (key, is_required)
    })
    .collect()
}

fn types() -> impl Strategy<Value = EventType> {
    select(EventType::ALL)
}

fn formats() -> impl Strategy<Value = BodyFormat> {
    select(&[BodyFormat::Plain, BodyFormat::Markdown])
}

fn identifiers() -> impl Strategy<Value = Uuid> {
    prop_oneof![
        9 => select(NAMED).prop_map(|(id, _)| id),
        1 => Just(Uuid::nil()),
    ]
}

fn texts() -> impl Strategy<Value = String> {
    let short = [
        "view", "edit", "project", "borrower", "", " ", "\u{202e}", "\u{200b}", HOSTILE,
    ];
    prop_oneof![
        3 => select(short.to_vec()).prop_map(str::to_owned),
        1 => Just(HOSTILE.repeat(300)),
        1 => Just(format!("see @[Cy* Young](user:{ADA}) ").repeat(40)),
        1 => r"[ -~\n\t]{0,60}",
        1 => r"\PC{0,200}",
        1 => any::<String>(),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_i64..=100).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        identifiers().prop_map(|id| json!(id)),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        let changes = select(vec!["timeChanged", "participantsChanged", "titleChanged"]);
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(changes.prop_map(str::to_owned), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn payloads() -> impl Strategy<Value = Option<Value>> {
    let keys = EventType::ALL.iter().flat_map(|known| keys(*known));
    let keys: Vec<_> = keys.map(|(key, _)| key).collect();
    let most = keys.len();
    let object = btree_map(select(keys), values(), 0..most)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    prop_oneof![1 => Just(None), 1 => values().prop_map(Some), 8 => object.prop_map(Some)]
}

fn rows() -> impl Strategy<Value = EventRow> {
    let ids = array::uniform6(option::weighted(0.9, identifiers()));
    (ids, payloads()).prop_map(|(ids, payload)| {
        let [
            actor_id,
            project_id,
            org_id,
            resource_id,
            thread_id,
            meeting_id,
        ] = ids;
        EventRow {
            actor_id,
            project_id,
            org_id,
            resource_id,
            thread_id,
            meeting_id,
            payload,
            ..EventRow::default()
        }
    })
}

fn hostile_names(body_format: BodyFormat) -> Names {
    let mut names = names(Rendering::default());
    let tables = [
        &mut names.projects,
        &mut names.orgs,
        &mut names.resources,
        &mut names.threads,
        &mut names.meetings,
    ];
    names.rendering.body_format = body_format;
    for name in tables.into_iter().flat_map(|table| table.values_mut()) {
        *name = HOSTILE.repeat(9);
    }
    for person in names.people.values_mut() {
        person.full_name = Some(HOSTILE.repeat(9));
    }
    names
}

/// Plans an event, and checks whatever somebody may read.
fn check(event_type: EventType, row: &EventRow, format: BodyFormat) -> Result<(), InvalidEvent> {
    let event = event_type.decode(row)?;
    let mut lookups = Lookups::default();
    event.lookups(&mut lookups);
    let all = hostile_names(format);
    let names = looked_up(&all, &lookups);
    let plans = event.plan(&all);
    assert_eq!(plans, event.plan(&names), "not lookups");
    let announcement = event.announce(&all);
    assert_eq!(announcement, event.announce(&names), "not lookups");
    assert_eq!(announcement.is_some(), event_type.is_operator());
    if let Some(Announcement { message, .. }) = announcement {
        check_title(&message.title);
        let fields = message.fields.iter().map(|field| &*field.value);
        for line in message.text.lines().chain(fields) {
            assert_eq!(text::plain(line), line);
        }
    }
    for plan in &plans {
        check_plan(plan, format);
    }
    Ok(())
}

fn check_plan(plan: &Plan, format: BodyFormat) {
    match &plan.in_app {
        InApp::None => {}
        InApp::Each(message) => {
            check_title(&message.title);
            check_body(message.body.as_deref().unwrap(), format);
            assert!(message.payload["type"].is_string());
        }
        InApp::Coalesced { message, .. } => {
            check_title(&format!("{}{}", i32::MAX, message.title));
            let body = message.body.as_deref().unwrap();
            check_body(&format!("{}{body}", i32::MAX), format);
        }
    }
    if let Some(email) = &plan.email {
        check_title(&email.subject);
        assert!(email.body_data["link_url"].is_string());
    }
}

fn check_title(title: &str) {
    assert!(title.chars().count() <= TITLE_MAX, "too long: {title}");
    assert_eq!(text::plain(title), title, "not one line, or a mention");
}

/// Fails on anything that a recipient could take for the application's own text or follow.
fn check_body(body: &str, format: BodyFormat) {
    match format {
        BodyFormat::Plain => check_plain(body),
        BodyFormat::Markdown => check_markdown(body),
    }
}

/// Fails on control and direction characters, and where bold begins or ends but at the handler's
/// own marks.
fn check_plain(body: &str) {
    for line in body.lines() {
        assert_eq!(text::line(line), line, "in {body}");
    }
    let marks = body.matches("**").count();
    assert!(marks.is_multiple_of(2), "unbalanced in {body}");
    assert!(!body.contains("***"), "ambiguous in {body}");
}

fn check_markdown(body: &str) {
    for event in Parser::new_ext(body, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        let harmless = matches!(
            event,
            Event::Start(Tag::Paragraph | Tag::Strong)
                | Event::End(_)
                | Event::Text(_)
                | Event::HardBreak
        );
        assert!(harmless, "{event:?} in {body}");
    }
    for mark in ["@", "://"] {
        let mut places = body.match_indices(mark);
        let is_escaped = places.all(|(at, _)| body[..at].ends_with('\\'));
        assert!(is_escaped, "autolink or mention in {body}");
    }
    let other = body.replace("{{meeting_time}}", "");
    assert!(!other.contains("{{"), "placeholder in {body}");
}

proptest! {
    #[test]
    fn plans_or_a_named_key(event_type in types(), row in rows(), format in formats()) {
        if let Err(error) = check(event_type, &row, format) {
            let text = error.to_string();
            prop_assert!(text.contains(event_type.name()) && text.contains(&error.key));
        }
    }

    #[test]
    fn plans_from_whatever_is_optional(event_type in types(), row in rows(), format in formats()) {
        let payload = row.payload.clone().filter(Value::is_object);
        let (row, _) = completed(event_type, EventRow { payload, ..row });
        prop_assert_eq!(check(event_type, &row, format), Ok(()));
    }
}

/// What each type's samples lead to, in a snapshot of its own.
#[test]
fn samples_have_effects() {
    for event_type in EventType::ALL.iter().copied() {
        let mut messages = String::new();
        for row in event_type.samples() {
            assert_eq!(EventType::from_name(&row.event_type), Some(event_type));
            let planned = planned(event_type, &row);
            assert!(planned.contains("to "), "{row:?}");
            messages.push_str(&planned);
        }
        let mail = mail(event_type);
        assert_eq!(
            mail.is_some(),
            event_type.mail().is_some(),
            "{event_type:?}"
        );
        messages.extend(mail.map(|mail| format!("\n{mail}")));
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(event_type.name(), messages));
    }
}

#[test]
fn missing_and_mistyped_keys_are_named() {
    for event_type in EventType::ALL.iter().copied() {
        let problem = |key: &str, value: Value| {
            let row = with(sample(event_type), json!({key: value}));
            let error = event_type.decode(&row).expect_err("invalid");
            assert_eq!(error.event_type, event_type.name());
            error.to_string()
        };
        let required = keys(event_type)
            .into_iter()
            .filter(|(_, required)| *required);
        for (key, _) in required {
            let missing = problem(&key, Value::Null);
            let expected = format!("payload.{key} is required");
            assert!(missing.ends_with(&expected), "{missing}");
            // What no key takes for its own.
            let wrong = problem(&key, json!([[]]));
            assert!(
                wrong.contains(&format!("payload.{key} must be ")),
                "{wrong}"
            );
        }
    }
}

#[test]
fn names_of_types_round_trip() {
    for event_type in EventType::ALL.iter().copied() {
        let spellings = event_type.spellings();
        for spelling in &spellings {
            assert_eq!(EventType::from_name(spelling), Some(event_type));
        }
        let alias = event_type.alias().unwrap_or_default();
        let is_spelling = spellings.iter().any(|name| name == alias);
        assert_eq!(is_spelling, event_type.is_operator(), "{alias}");
    }
    assert_eq!(EventType::from_name("chat_message"), None);
    assert_eq!(EventType::from_name("chat.message.sent"), None);
    assert_eq!(
        EventType::NodeHealthDegraded.spellings().join(" "),
        "node_health_degraded node.health_degraded node_health.degraded node.health.degraded"
    );
}
