//! Who is notified on which channel: one preference row decides, the most particular one.

use std::collections::BTreeMap;

use notify_fan_out::fan_out::FanOutSettings;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{RunCommand as _, Summary as _, TestDatabase, World, id};

/// Scope, event type, channel, and status.
type Rule = [&'static str; 4];

const SCOPES: [&str; 5] = [
    "global",
    "project",
    "thread",
    "another project",
    "another thread",
];
const TYPES: [&str; 5] = [
    "*",
    "chat_message_sent",
    "chat_message",
    "thread_unread_stale",
    "document_uploaded",
];
const CHANNELS: [&str; 3] = ["*", "in_app", "email"];
const STATUSES: [&str; 3] = ["muted", "digest", "immediate"];

/// People with preferences, and what they are notified of: a message in the project's thread, a
/// document of the project, a reminder of the thread, and an access that is revoked, which belongs to neither.
struct Stage {
    db: TestDatabase<'static>,
    world: World,
    people: Vec<Uuid>,
    atlas: Uuid,
    budget: Uuid,
}

impl Stage {
    async fn new(preferences: &[Vec<Rule>]) -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let size = i32::try_from(preferences.len()).expect("not so many");
        let people = world.people(size).await;
        let [_, atlas] = world.acme([]).await;
        world.grant(atlas, &people).await;
        let budget = world.thread("Budget", &people).await;
        let rows = people.iter().zip(preferences).flat_map(|(person, rules)| {
            rules
                .iter()
                .map(move |[scope, event_type, channel, status]| {
                    let (kind, scope) = match *scope {
                        "global" => ("global", None),
                        "project" => ("project", Some(atlas)),
                        "thread" => ("thread", Some(budget)),
                        "another project" => ("project", Some(id("project", "another"))),
                        _ => ("thread", Some(id("thread", "another"))),
                    };
                    json!({
                        "user_id": person, "scope_type": kind, "scope_id": scope,
                        "event_type": event_type, "channel": channel, "status": status,
                    })
                })
        });
        let rows: Vec<_> = rows.collect();
        // Where two rules are the same but for their status, only global ones can stand side by side.
        world
            .execute(format!(
                "INSERT INTO user_notification_preferences
                 SELECT * FROM jsonb_populate_recordset(NULL::user_notification_preferences, '{}')
                 ON CONFLICT DO NOTHING",
                json!(rows)
            ))
            .await;
        Self {
            db,
            world,
            people,
            atlas,
            budget,
        }
    }

    /// What each person is notified of, by person and event type: `app` or `-`, and when by mail or `-`.
    async fn notified(&mut self, mute_covers_email: bool) -> BTreeMap<(Uuid, String), String> {
        let (atlas, budget, world) = (self.atlas, self.budget, &mut self.world);
        world.message(budget).project(atlas).await;
        world.event("document_uploaded").project(atlas).await;
        world
            .execute(format!(
                "INSERT INTO domain_events (event_type, project_id, thread_id, payload)
                 SELECT 'thread_unread_stale', '{atlas}'::uuid, '{budget}'::uuid, jsonb_build_object('user_id', id) FROM profiles
                 UNION ALL
                 SELECT 'project_access_revoked', '{atlas}', NULL, jsonb_build_object('affected_user_id', id) FROM profiles"
            ))
            .await;
        let settings = FanOutSettings {
            mute_covers_email,
            ..self.db.settings()
        };
        self.db.run_with(&settings).await;
        let rows = self
            .db
            .texts(
                "SELECT concat_ws('|', user_id, event_type, concat_ws(', ',
                        CASE WHEN bool_or(app) THEN 'app' ELSE '-' END, coalesce(max(mail), '-')))
                   FROM (SELECT n.user_id, e.event_type, true AS app, NULL AS mail
                           FROM notifications n JOIN domain_events e ON e.id = n.event_id
                         UNION ALL
                         SELECT user_id, event_type, false, delivery_type FROM pending_emails) AS t
                  GROUP BY user_id, event_type",
            )
            .await;
        let rows = rows.iter().map(|row| {
            let mut parts = row.split('|').map(str::to_owned);
            let [user, event_type, notified] = [(); 3].map(|()| parts.next().expect("three parts"));
            ((user.parse().expect("a person"), event_type), notified)
        });
        rows.collect()
    }
}

/// A rule, written `scope / event type / channel = status`.
fn rule(text: &'static str) -> Rule {
    let (place, status) = text.split_once(" = ").expect("a status");
    let mut parts = place.split(" / ");
    let mut part = || parts.next().expect("scope / event type / channel");
    [part(), part(), part(), status]
}

/// The order of the rules, as people meet it; [`decide`] is the whole of it.
#[tokio::test]
async fn most_particular_rule_decides() {
    // By event type: document uploaded, message, reminder, access revoked.
    let cases: [(&[&str], [&str; 4]); 9] = [
        // The event's own policy.
        (
            &[],
            ["app, aggregated", "app, -", "-, aggregated", "app, -"],
        ),
        (&["global / * / * = muted"], ["", "", "", ""]),
        // The channels are decided apart.
        (
            &["global / * / in_app = muted"],
            ["-, aggregated", "", "-, aggregated", ""],
        ),
        // Where the event has no mail there is none.
        (
            &["global / * / email = immediate"],
            ["app, immediate", "app, -", "-, immediate", "app, -"],
        ),
        // The exact channel comes before the asterisk, and the exact event type before that.
        (
            &[
                "global / * / in_app = muted",
                "global / * / email = muted",
                "global / document_uploaded / * = immediate",
            ],
            ["app, immediate", "", "", ""],
        ),
        // The scope comes first, even with an asterisk for a type. Revocation knows no project.
        (
            &[
                "project / * / * = muted",
                "global / document_uploaded / in_app = immediate",
            ],
            ["", "", "", "app, -"],
        ),
        (
            &["project / * / * = muted", "thread / * / * = immediate"],
            ["", "app, -", "-, immediate", "app, -"],
        ),
        // Another name of chat_message_sent.
        (
            &[
                "global / * / * = muted",
                "thread / chat_message / * = immediate",
            ],
            ["", "app, -", "", ""],
        ),
        // Scope identifiers of global rules are NULL, which a unique constraint does not hold apart.
        (
            &[
                "global / document_uploaded / in_app = immediate",
                "global / document_uploaded / in_app = muted",
                "global / document_uploaded / email = immediate",
                "global / document_uploaded / email = digest",
            ],
            ["-, aggregated", "app, -", "-, aggregated", "app, -"],
        ),
    ];
    let rules = |rules: &[&'static str]| rules.iter().map(|text| rule(text)).collect();
    let preferences: Vec<_> = cases.iter().map(|(texts, _)| rules(texts)).collect();
    let mut stage = Stage::new(&preferences).await;
    let notified = stage.notified(false).await;
    let types = [
        "document_uploaded",
        "chat_message_sent",
        "thread_unread_stale",
        "project_access_revoked",
    ];
    for (person, (rules, expected)) in stage.people.iter().zip(cases) {
        let of = |event_type: &str| notified.get(&(*person, event_type.to_owned()));
        let notified = types.map(|event_type| of(event_type).map_or("", String::as_str));
        assert_eq!(notified, expected, "{rules:?}");
    }
}

/// A scope that the event lacks does not count, and a mention obeys the same rules.
#[tokio::test]
async fn rule_of_a_scope_counts_for_events_of_that_scope() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo, cy] = world.users(["Ada", "Bo", "Cy"]).await;
    let [_, atlas] = world.acme([]).await;
    let budget = world.thread("Budget", [ada, bo, cy]).await;
    let mute = "project / * / * = muted";
    world.prefers(bo, mute, Some(atlas)).await;
    let mute = "thread / chat_message_sent / in_app = muted";
    world.prefers(cy, mute, Some(budget)).await;
    world.message(budget).await;
    let mention = json!({"mentioned_user_ids": [bo, cy]});
    world.message(budget).project(atlas).payload(mention).await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=2 notifications=2 merged=1 suppressed=3");
    insta::assert_snapshot!(db.titles().await, @"
    Ada: 2 unread in Budget · Atlas
    Bo: 1 unread in Budget
    ");
}

/// Where the application's panel knows no e-mail, a mute of the app may cover it.
#[tokio::test]
async fn explain_names_a_mute_that_covers_email() {
    let mut stage = Stage::new(&[vec![rule("global / * / in_app = muted")]]).await;
    stage.notified(true).await;
    let event = "SELECT id FROM domain_events WHERE event_type = 'document_uploaded'";
    let event = stage.db.text(event).await;
    for (mute_covers_email, is_named) in [("true", true), ("false", false)] {
        let mut command = stage.db.binary();
        command.env("NOTIFY_MUTE_COVERS_EMAIL", mute_covers_email);
        let explained = command.args(["explain", &event]).prints();
        let why = "an in-app mute covers e-mail (NOTIFY_MUTE_COVERS_EMAIL)";
        assert_eq!(explained.contains(why), is_named, "{explained}");
    }
}

/// The rules as events.md tells them, one question after the other.
fn decide(
    rules: &[Rule],
    event_type: &'static str,
    scopes: &[&'static str],
    channel: &'static str,
) -> Option<&'static str> {
    let mut types = vec![event_type];
    if event_type == "chat_message_sent" {
        types.push("chat_message");
    }
    types.push("*");
    for scope in scopes {
        for event_type in &types {
            for channel in [channel, "*"] {
                for status in STATUSES {
                    if rules.contains(&[*scope, *event_type, channel, status]) {
                        return Some(status);
                    }
                }
            }
        }
    }
    None
}

fn every_rule() -> Vec<Rule> {
    let mut rules = Vec::new();
    for scope in SCOPES {
        for event_type in TYPES {
            for channel in CHANNELS {
                rules.extend(STATUSES.map(|status| [scope, event_type, channel, status]));
            }
        }
    }
    rules
}

/// Every two rules that can meet, and hundreds of larger sets: whatever people prefer, the
/// database decides as the model does.
fn every_preference() -> Vec<Vec<Rule>> {
    let rules = every_rule();
    let of_interest = rules.iter().filter(|[scope, event_type, _, status]| {
        let types = ["*", "chat_message_sent", "chat_message"];
        !scope.starts_with("another") && *status != "digest" && types.contains(event_type)
    });
    let of_interest: Vec<_> = of_interest.collect();
    let mut preferences = Vec::new();
    for (at, one) in of_interest.iter().enumerate() {
        for other in &of_interest[at + 1..] {
            if one[3] != other[3] {
                preferences.push(vec![**one, **other]);
            }
        }
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..400 {
        let size = random.random_range(0..12);
        preferences.push(rules.choose_multiple(&mut random, size).copied().collect());
    }
    preferences.into_iter().map(kept).collect()
}

/// A set without the rules that the table's key refuses.
fn kept(rules: Vec<Rule>) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::new();
    for rule in rules {
        let is_there = kept.iter().any(|other| rule[..3] == other[..3]);
        if rule[0] == "global" || !is_there {
            kept.push(rule);
        }
    }
    kept
}

#[tokio::test]
async fn any_set_of_rules_is_decided_as_the_model_decides_it() {
    decided_as_the_model_decides(false).await;
}

#[tokio::test]
async fn and_so_it_is_where_mutes_cover_email() {
    decided_as_the_model_decides(true).await;
}

async fn decided_as_the_model_decides(mute_covers_email: bool) {
    let preferences = every_preference();
    assert!(preferences.len() > 1_000);
    let mut stage = Stage::new(&preferences).await;
    let notified = stage.notified(mute_covers_email).await;
    let all = &["thread", "project", "global"][..];
    for (person, rules) in stage.people.iter().zip(&preferences) {
        for (event_type, scopes, in_app, mail) in [
            ("chat_message_sent", all, true, None),
            ("thread_unread_stale", all, false, Some("aggregated")),
            ("document_uploaded", &all[1..], true, Some("aggregated")),
            ("project_access_revoked", &all[2..], true, None),
        ] {
            let is_muted = decide(rules, event_type, scopes, "in_app") == Some("muted");
            let app = in_app && !is_muted;
            let mail = mail.and_then(|policy| match decide(rules, event_type, scopes, "email") {
                Some("muted") => None,
                Some("digest") => Some("aggregated"),
                Some(_) => Some("immediate"),
                None if mute_covers_email && is_muted => None,
                None => Some(policy),
            });
            let expected = (app || mail.is_some())
                .then(|| format!("{}, {}", if app { "app" } else { "-" }, mail.unwrap_or("-")));
            let actual = notified.get(&(*person, event_type.to_owned()));
            assert_eq!(actual, expected.as_ref(), "{event_type} under {rules:#?}");
        }
    }
}
