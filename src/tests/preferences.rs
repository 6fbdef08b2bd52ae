//! Who is notified on which channel: one preference row decides, the most particular one.

use std::collections::BTreeMap;

use notify_fan_out::fan_out::Settings;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use crate::harness::{TestDatabase, World, id};

/// Atlas is a project, Budget a thread, and each person takes part in both.
struct Stage {
    db: TestDatabase<'static>,
    world: World,
    bo: Uuid,
    atlas: Uuid,
    budget: Uuid,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [ada, bo] = world.users(["Ada", "Bo"]).await;
        let acme = world.org("Acme", []).await;
        let atlas = world.project("Atlas", acme).await;
        world.grant(atlas, [ada, bo]).await;
        let budget = world.thread("Budget", [ada, bo]).await;
        Self {
            db,
            world,
            bo,
            atlas,
            budget,
        }
    }

    /// What Bo prefers. The scope is Atlas or Budget; "of another" says that it is not.
    async fn prefers(&mut self, rule: &str) {
        let (rule, elsewhere) = match rule.strip_suffix(" of another") {
            Some(rule) => (rule, true),
            None => (rule, false),
        };
        let scope = match rule.split_once(' ').expect("a rule").0 {
            "global" => None,
            kind if elsewhere => Some(id(kind, "another")),
            "project" => Some(self.atlas),
            _ => Some(self.budget),
        };
        self.world.prefers(self.bo, rule, scope).await;
    }

    /// An event of each kind that a rule can tell apart, all of them for Bo.
    async fn events(&mut self) {
        let (atlas, budget, world) = (self.atlas, self.budget, &mut self.world);
        let bo = json!({"user_id": self.bo, "affected_user_id": self.bo});
        world.event("document_uploaded").project(atlas).await;
        world
            .event("project_access_granted")
            .project(atlas)
            .payload(bo.clone())
            .await;
        world
            .event("project_access_revoked")
            .project(atlas)
            .payload(bo.clone())
            .await;
        world
            .event("chat_message_sent")
            .project(atlas)
            .thread(budget)
            .await;
        world
            .event("thread_unread_stale")
            .project(atlas)
            .thread(budget)
            .payload(bo)
            .await;
    }

    /// What Bo is notified of: `event type: app, mail`.
    async fn notified(&self, mute_covers_email: bool) -> String {
        let settings = Settings {
            mute_covers_email,
            ..self.db.settings()
        };
        let report = self.db.run_with(&settings).await;
        assert_eq!(report.events, 5);
        let notified = self
            .db
            .texts(&format!(
                "SELECT concat_ws(', ', e.event_type || ': ' || CASE WHEN n.id IS NULL THEN '-' ELSE 'app' END,
                        coalesce(m.delivery_type, '-'))
                   FROM domain_events e
                   LEFT JOIN notifications n ON n.event_id = e.id AND n.user_id = '{0}'
                   LEFT JOIN pending_emails m ON m.event_id = e.id AND m.user_id = '{0}'
                  ORDER BY e.id",
                self.bo
            ))
            .await;
        notified.join("\n")
    }
}

impl Stage {
    /// Why Bo is notified of the document, by the whole binary.
    async fn explained(&self, mute_covers_email: &str) -> String {
        let event = "SELECT id FROM domain_events WHERE event_type = 'document_uploaded'";
        let mut command = self.db.binary();
        command
            .args([
                "explain",
                &self.db.text(event).await,
                "--user",
                &self.bo.to_string(),
            ])
            .env("NOTIFY_MUTE_COVERS_EMAIL", mute_covers_email);
        String::from_utf8(command.output().expect("started").stdout).expect("a text")
    }
}

/// What Bo is notified of under some rules.
async fn notified(rules: &[&str]) -> String {
    let mut stage = Stage::new().await;
    for rule in rules {
        stage.prefers(rule).await;
    }
    stage.events().await;
    stage.notified(false).await
}

#[tokio::test]
async fn without_rules_the_events_own_policy() {
    insta::assert_snapshot!(notified(&[]).await, @"
    document_uploaded: app, aggregated
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, aggregated
    ");
}

#[tokio::test]
async fn muted_everywhere() {
    insta::assert_snapshot!(notified(&["global / * / * = muted"]).await, @"
    document_uploaded: -, -
    project_access_granted: -, -
    project_access_revoked: -, -
    chat_message_sent: -, -
    thread_unread_stale: -, -
    ");
}

/// The channels are decided apart.
#[tokio::test]
async fn the_app_is_muted_and_the_mail_is_kept() {
    insta::assert_snapshot!(notified(&["global / * / in_app = muted"]).await, @"
    document_uploaded: -, aggregated
    project_access_granted: -, immediate
    project_access_revoked: -, -
    chat_message_sent: -, -
    thread_unread_stale: -, aggregated
    ");
}

#[tokio::test]
async fn the_mail_is_muted_and_the_app_is_kept() {
    insta::assert_snapshot!(notified(&["global / * / email = muted"]).await, @"
    document_uploaded: app, -
    project_access_granted: app, -
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, -
    ");
}

/// Mail that would be immediate is put off; where the event has no mail there is none.
#[tokio::test]
async fn digest() {
    insta::assert_snapshot!(notified(&["global / * / * = digest"]).await, @"
    document_uploaded: app, aggregated
    project_access_granted: app, aggregated
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, aggregated
    ");
}

#[tokio::test]
async fn immediate() {
    insta::assert_snapshot!(notified(&["global / * / email = immediate"]).await, @"
    document_uploaded: app, immediate
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, immediate
    ");
}

/// The exact channel comes before the asterisk.
#[tokio::test]
async fn all_is_muted_but_the_mail() {
    insta::assert_snapshot!(notified(&["global / * / * = muted", "global / * / email = digest"]).await, @"
    document_uploaded: -, aggregated
    project_access_granted: -, aggregated
    project_access_revoked: -, -
    chat_message_sent: -, -
    thread_unread_stale: -, aggregated
    ");
}

/// The exact event type comes before the asterisk, even on a less exact channel.
#[tokio::test]
async fn all_is_muted_but_one_type() {
    insta::assert_snapshot!(notified(&[
        "global / * / in_app = muted",
        "global / * / email = muted",
        "global / document_uploaded / * = immediate",
    ]).await, @"
    document_uploaded: app, immediate
    project_access_granted: -, -
    project_access_revoked: -, -
    chat_message_sent: -, -
    thread_unread_stale: -, -
    ");
}

/// The scope comes first, even with an asterisk for a type. Revocation knows no project.
#[tokio::test]
async fn the_project_is_muted() {
    insta::assert_snapshot!(notified(&[
        "project / * / * = muted",
        "global / document_uploaded / in_app = immediate",
        "global / project_access_granted / email = immediate",
    ]).await, @"
    document_uploaded: -, -
    project_access_granted: -, -
    project_access_revoked: app, -
    chat_message_sent: -, -
    thread_unread_stale: -, -
    ");
}

#[tokio::test]
async fn all_is_muted_but_the_project() {
    insta::assert_snapshot!(notified(&["global / * / * = muted", "project / * / * = immediate"]).await, @"
    document_uploaded: app, immediate
    project_access_granted: app, immediate
    project_access_revoked: -, -
    chat_message_sent: app, -
    thread_unread_stale: -, immediate
    ");
}

#[tokio::test]
async fn the_thread_is_muted_within_a_project_that_is_not() {
    insta::assert_snapshot!(notified(&[
        "thread / * / * = muted",
        "project / chat_message_sent / in_app = immediate",
        "project / thread_unread_stale / email = immediate",
    ]).await, @"
    document_uploaded: app, aggregated
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: -, -
    thread_unread_stale: -, -
    ");
}

#[tokio::test]
async fn the_thread_is_kept_within_a_project_that_is_muted() {
    insta::assert_snapshot!(notified(&["project / * / * = muted", "thread / * / * = immediate"]).await, @"
    document_uploaded: -, -
    project_access_granted: -, -
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, immediate
    ");
}

/// Rules of other projects and threads say nothing here.
#[tokio::test]
async fn another_scope() {
    insta::assert_snapshot!(notified(&["project / * / * = muted of another", "thread / * / * = muted of another"]).await, @"
    document_uploaded: app, aggregated
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, aggregated
    ");
}

#[tokio::test]
async fn chat_message_is_another_name() {
    insta::assert_snapshot!(notified(&["global / chat_message / in_app = muted"]).await, @"
    document_uploaded: app, aggregated
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: -, -
    thread_unread_stale: -, aggregated
    ");
}

#[tokio::test]
async fn the_other_name_comes_before_the_asterisk() {
    insta::assert_snapshot!(notified(&["global / * / * = muted", "thread / chat_message / * = immediate"]).await, @"
    document_uploaded: -, -
    project_access_granted: -, -
    project_access_revoked: -, -
    chat_message_sent: app, -
    thread_unread_stale: -, -
    ");
}

/// Scope identifiers of global rules are NULL, which a unique constraint does not hold apart.
#[tokio::test]
async fn who_said_both_is_not_bothered() {
    insta::assert_snapshot!(notified(&[
        "global / document_uploaded / in_app = immediate",
        "global / document_uploaded / in_app = muted",
        "global / document_uploaded / email = digest",
        "global / document_uploaded / email = immediate",
    ]).await, @"
    document_uploaded: -, aggregated
    project_access_granted: app, immediate
    project_access_revoked: app, -
    chat_message_sent: app, -
    thread_unread_stale: -, aggregated
    ");
}

/// A scope that the event lacks does not count, whatever the rule says.
#[tokio::test]
async fn a_scope_that_the_event_lacks() {
    let mut stage = Stage::new().await;
    stage.prefers("project / * / * = muted").await;
    stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .await;
    stage
        .world
        .event("chat_message_sent")
        .thread(stage.budget)
        .project(stage.atlas)
        .await;
    let report = stage.db.run().await;
    // Ada is notified of both in one.
    assert_eq!(
        (report.notifications, report.merged, report.suppressed),
        (2, 1, 1)
    );
}

/// Where the application's panel knows no e-mail, a mute of the app may cover it.
#[tokio::test]
async fn a_mute_may_cover_email() {
    for (rules, expected) in [
        (&["global / * / in_app = muted"][..], "-, -"),
        (&["global / document_uploaded / in_app = muted"], "-, -"),
        (
            &[
                "global / * / in_app = muted",
                "project / * / email = digest",
            ],
            "-, aggregated",
        ),
        (
            &[
                "global / * / in_app = muted",
                "project / * / in_app = immediate",
            ],
            "app, aggregated",
        ),
        (&["global / * / in_app = digest"], "app, aggregated"),
    ] {
        let mut stage = Stage::new().await;
        for rule in rules {
            stage.prefers(rule).await;
        }
        stage.events().await;
        let notified = stage.notified(true).await;
        assert_eq!(
            notified.lines().next(),
            Some(&*format!("document_uploaded: {expected}"))
        );
        if expected == "-, -" {
            let why = "an in-app mute covers e-mail (NOTIFY_MUTE_COVERS_EMAIL)";
            assert!(stage.explained("true").await.contains(why));
            assert!(!stage.explained("false").await.contains(why));
        }
    }
}

/// A mention obeys the same rules.
#[tokio::test]
async fn a_mention_in_a_muted_thread() {
    let mut stage = Stage::new().await;
    stage
        .prefers("thread / chat_message_sent / in_app = muted")
        .await;
    let event = stage.world.event("chat_message_sent").thread(stage.budget);
    event
        .payload(json!({"mentioned_user_ids": [stage.bo]}))
        .await;
    stage.db.run().await;
    insta::assert_snapshot!(stage.db.titles().await, @"Ada: 1 unread in Budget");
}

// --- every rule against every other ----------------------------------------------------------

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rule {
    scope: &'static str,
    event_type: &'static str,
    channel: &'static str,
    status: &'static str,
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
                    let rule = Rule {
                        scope,
                        event_type,
                        channel,
                        status,
                    };
                    if rules.contains(&rule) {
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
                rules.extend(STATUSES.map(|status| Rule {
                    scope,
                    event_type,
                    channel,
                    status,
                }));
            }
        }
    }
    rules
}

/// Every two rules that can meet, and hundreds of larger sets: whatever people prefer, the
/// database decides as the model does.
fn every_preference() -> Vec<Vec<Rule>> {
    let rules = every_rule();
    let of_interest: Vec<_> = rules
        .iter()
        .filter(|rule| !rule.scope.starts_with("another") && rule.status != "digest")
        .filter(|rule| ["*", "chat_message_sent", "chat_message"].contains(&rule.event_type))
        .collect();
    let mut preferences = Vec::new();
    for (at, one) in of_interest.iter().enumerate() {
        for other in &of_interest[at + 1..] {
            if one.status != other.status {
                preferences.push(vec![**one, **other]);
            }
        }
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..400 {
        let size = random.random_range(0..12);
        preferences.push(rules.choose_multiple(&mut random, size).copied().collect());
    }
    preferences
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
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world
        .people(i32::try_from(preferences.len()).expect("not so many"))
        .await;
    let acme = world.org("Acme", []).await;
    let atlas = world.project("Atlas", acme).await;
    world.grant(atlas, &people).await;
    let budget = world.thread("Budget", &people).await;

    let rows: Vec<_> = people
        .iter()
        .zip(&preferences)
        .flat_map(|(person, rules)| rules.iter().map(move |rule| (person, rule)))
        .map(|(person, rule)| {
            let (kind, scope) = match rule.scope {
                "global" => ("global", None),
                "project" => ("project", Some(atlas)),
                "thread" => ("thread", Some(budget)),
                "another project" => ("project", Some(id("project", "another"))),
                _ => ("thread", Some(id("thread", "another"))),
            };
            json!({
                "user_id": person, "scope_type": kind, "scope_id": scope,
                "event_type": rule.event_type, "channel": rule.channel, "status": rule.status,
            })
        })
        .collect();
    // Where two rules are the same but for their status, only global ones can stand side by side.
    world
        .execute(format!(
            "INSERT INTO user_notification_preferences
             SELECT * FROM jsonb_populate_recordset(NULL::user_notification_preferences, '{}')
             ON CONFLICT DO NOTHING",
            json!(rows)
        ))
        .await;
    let preferences = kept(preferences);

    world
        .event("chat_message_sent")
        .project(atlas)
        .thread(budget)
        .await;
    world.event("document_uploaded").project(atlas).await;
    world
        .execute(format!(
            "INSERT INTO domain_events (event_type, project_id, thread_id, payload)
             SELECT 'thread_unread_stale', '{atlas}'::uuid, '{budget}'::uuid, jsonb_build_object('user_id', id) FROM profiles
             UNION ALL
             SELECT 'project_access_revoked', '{atlas}', NULL, jsonb_build_object('affected_user_id', id) FROM profiles"
        ))
        .await;
    let settings = Settings {
        mute_covers_email,
        ..db.settings()
    };
    db.run_with(&settings).await;

    let notified: BTreeMap<_, _> = db
        .texts(
            "SELECT concat_ws('|', user_id || ' ' || event_type,
                    CASE WHEN bool_or(app) THEN 'app' ELSE '-' END, coalesce(max(mail), '-'))
               FROM (SELECT n.user_id, e.event_type, true AS app, NULL AS mail
                       FROM notifications n JOIN domain_events e ON e.id = n.event_id
                     UNION ALL
                     SELECT user_id, event_type, false, delivery_type FROM pending_emails) AS t
              GROUP BY user_id, event_type",
        )
        .await
        .into_iter()
        .map(|row| {
            let (key, what) = row.split_once('|').expect("a bar");
            (key.to_owned(), what.to_owned())
        })
        .collect();
    for (person, rules) in people.iter().zip(&preferences) {
        for (event_type, scopes, in_app, mail) in [
            (
                "chat_message_sent",
                &["thread", "project", "global"][..],
                true,
                None,
            ),
            (
                "thread_unread_stale",
                &["thread", "project", "global"],
                false,
                Some("aggregated"),
            ),
            (
                "document_uploaded",
                &["project", "global"],
                true,
                Some("aggregated"),
            ),
            ("project_access_revoked", &["global"], true, None),
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
                .then(|| format!("{}|{}", if app { "app" } else { "-" }, mail.unwrap_or("-")));
            let actual = notified.get(&format!("{person} {event_type}"));
            assert_eq!(actual, expected.as_ref(), "{event_type} under {rules:#?}");
        }
    }
}

/// The sets without the rules that the table's key refused.
fn kept(preferences: Vec<Vec<Rule>>) -> Vec<Vec<Rule>> {
    let same = |one: &Rule, other: &Rule| {
        Rule { status: "", ..*one }
            == Rule {
                status: "",
                ..*other
            }
    };
    preferences
        .into_iter()
        .map(|rules| {
            let mut kept: Vec<Rule> = Vec::new();
            for rule in rules {
                if rule.scope == "global" || !kept.iter().any(|other| same(&rule, other)) {
                    kept.push(rule);
                }
            }
            kept
        })
        .collect()
}
