//! Events of operations and billing: which endpoints and people receive them, once.

use std::time::Duration;

use notify_fan_out::channels::Channel;
use notify_fan_out::fan_out::{FanOutReport, Settings};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestDatabase, Worker, World, id};

/// Acme owns Atlas; Olga owns Acme, Bo is nobody in particular.
struct Stage {
    db: TestDatabase<'static>,
    world: World,
    bo: Uuid,
    olga: Uuid,
    acme: Uuid,
    atlas: Uuid,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [bo, olga] = world.users(["Bo", "Olga"]).await;
        let acme = world.org("Acme", [olga]).await;
        let atlas = world.project("Atlas", acme).await;
        Self {
            db,
            world,
            bo,
            olga,
            acme,
            atlas,
        }
    }

    /// An endpoint of the scope and channel given that receives these types.
    async fn endpoint(&self, name: &str, place: Option<(&str, Uuid)>, channel: &str, types: &str) {
        let endpoint = id("endpoint", name);
        let (scope, scope_id) = place.map_or(("global", "NULL".to_owned()), |(scope, id)| {
            (scope, format!("'{id}'"))
        });
        self.db
            .execute(format!(
                "INSERT INTO notification_endpoints (id, name, scope, scope_id, channel, target, settings, event_types)
                 VALUES ('{endpoint}', '{name}', '{scope}', {scope_id}, '{channel}', '…', '{{}}', '{types}')"
            ))
            .await;
    }

    /// An endpoint for all events.
    async fn listener(&self, name: &str, channel: &str) {
        self.endpoint(name, None, channel, "{*}").await;
    }

    /// An alert about Bo, with what else it says.
    async fn alert(&mut self, alert_id: &str, more: Value) -> i64 {
        let mut payload = json!({"alert_id": alert_id, "user_id": self.bo});
        for (key, value) in more.as_object().expect("an object") {
            payload[key] = value.clone();
        }
        self.world.event("alert_triggered").payload(payload).await
    }

    /// What is queued for endpoints and phones, a line each: event, who, what becomes of it, title.
    async fn queued(&self) -> String {
        let rows = self
            .db
            .texts(
                "SELECT format('%s %s %s to %s: %s%s', d.event_id, d.event_type, d.channel,
                        coalesce(e.name, d.recipient), d.status, ' (' || d.reason || ')')
                   FROM notification_deliveries d
                   LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
                  ORDER BY d.event_id, d.channel, e.name, d.recipient",
            )
            .await;
        rows.join("\n").replace(&self.bo.to_string(), "BO")
    }

    /// Which endpoint receives which event.
    async fn received(&self) -> String {
        let rows = self
            .db
            .texts(
                "SELECT e.name || ': ' || string_agg(d.event_type, ', ' ORDER BY d.event_id)
                   FROM notification_deliveries d
                   JOIN notification_endpoints e ON e.id = d.endpoint_id
                  WHERE d.status = 'pending'
                  GROUP BY e.name ORDER BY e.name",
            )
            .await;
        rows.join("\n")
    }

    async fn run(&self) -> FanOutReport {
        self.db.run().await
    }

    fn settings(&self) -> Settings {
        self.db.settings()
    }
}

#[tokio::test]
async fn endpoints_receive_by_scope_and_type() {
    let mut stage = Stage::new().await;
    let (acme, atlas) = (stage.acme, stage.atlas);
    let zeta = stage.world.org("Zeta", []).await;
    stage.listener("everything", "slack").await;
    stage
        .endpoint(
            "payments",
            None,
            "webhook",
            "{payment_failed,payment_succeeded}",
        )
        .await;
    stage
        .endpoint("acme", Some(("organisation", acme)), "discord", "{*}")
        .await;
    stage
        .endpoint("zeta", Some(("organisation", zeta)), "discord", "{*}")
        .await;
    stage
        .endpoint(
            "atlas",
            Some(("project", atlas)),
            "email",
            "{node_launched}",
        )
        .await;
    // An identifier is one of its own kind only.
    stage
        .endpoint("no project", Some(("project", acme)), "slack", "{*}")
        .await;
    stage.listener("disabled", "sms").await;
    stage
        .db
        .execute("UPDATE notification_endpoints SET enabled = false WHERE name = 'disabled'")
        .await;
    let world = &mut stage.world;
    world
        .event("payment_failed")
        .org(acme)
        .payload(json!({"tenant_id": "t-1", "amount": 5}))
        .await;
    world
        .event("node_launched")
        .project(atlas)
        .payload(json!({"node_id": "n-1"}))
        .await;
    world
        .event("tenant_created")
        .payload(json!({"name": "Zeta", "tenant_id": zeta}))
        .await;
    // None of the thirteen is for endpoints.
    world
        .event("invite_accepted")
        .org(acme)
        .actor(stage.bo)
        .await;
    let report = stage.run().await;
    insta::assert_snapshot!(stage.received().await, @"
    acme: payment_failed
    atlas: node_launched
    everything: payment_failed, node_launched, tenant_created
    payments: payment_failed
    zeta: tenant_created
    ");
    assert_eq!(
        (report.events, report.deliveries, report.suppressed),
        (4, 7, 0)
    );
    let target = "SELECT d.channel || ' ' || replace(d.target, d.endpoint_id::text, 'ID') || ' ' || replace(d.recipient, d.endpoint_id::text, 'ID')
                    FROM notification_deliveries d WHERE event_type = 'node_launched' ORDER BY 1";
    assert_eq!(
        stage.db.texts(target).await,
        ["email email endpoint:ID", "slack endpoint:ID endpoint:ID"]
    );
    let message = stage
        .db
        .text("SELECT jsonb_pretty(message) FROM notification_deliveries d JOIN notification_endpoints e ON e.id = endpoint_id WHERE name = 'acme'")
        .await;
    insta::assert_snapshot!(message.replace(&acme.to_string(), "ACME"), @r#"
    {
        "data": {
            "amount": 5,
            "org_id": "ACME",
            "reason": null,
            "user_id": null,
            "currency": "USD",
            "org_name": "Acme",
            "tenant_id": "t-1",
            "project_id": null,
            "tenant_name": "Acme",
            "project_name": null
        },
        "text": "",
        "title": "Payment of USD 5 by Acme failed",
        "fields": [
            {
                "name": "Tenant",
                "value": "t-1"
            }
        ],
        "link_url": "/dashboard",
        "severity": "critical"
    }
    "#);
    assert!(stage.run().await.is_idle());
    // Whatever brings an event back, nobody receives it twice.
    stage
        .db
        .execute("UPDATE notification_processing SET processing_status = 'pending', next_attempt_at = now()")
        .await;
    let again = stage.run().await;
    assert_eq!((again.events, again.deliveries), (4, 0));
    assert_eq!(stage.db.count("notification_deliveries").await, 7);
}

#[tokio::test]
async fn routes_of_the_environment_need_no_row() {
    let mut stage = Stage::new().await;
    let routes = [
        (Channel::Slack, "env:slack".to_owned()),
        (Channel::Discord, "env:discord".to_owned()),
        (Channel::Email, "env:email:b5fc85e5".to_owned()),
    ];
    let settings = Settings {
        routes: routes.into(),
        ..stage.settings()
    };
    stage
        .db
        .execute("INSERT INTO notification_delivery_targets (target, disabled_reason) VALUES ('env:discord', 'it is gone'), ('env:slack', NULL)")
        .await;
    stage.alert("a", json!({})).await;
    stage.alert("b", json!({"channels": {"email": true}})).await;
    let report = stage.db.run_with(&settings).await;
    assert_eq!(report.deliveries, 3);
    let rows = "SELECT concat_ws(' ', event_id, channel, target, recipient, endpoint_id, user_id) FROM notification_deliveries ORDER BY id";
    insta::assert_snapshot!(stage.db.texts(rows).await.join("\n"), @"
    1 email email env:email:b5fc85e5
    1 slack env:slack env:slack
    2 email email env:email:b5fc85e5
    ");
    // As it was called before routes of mails had names of their own.
    stage
        .db
        .execute("INSERT INTO notification_delivery_targets (target, disabled_reason) VALUES ('env:email', 'manually')")
        .await;
    stage.alert("c", json!({"channels": {"email": true}})).await;
    assert_eq!(stage.db.run_with(&settings).await.deliveries, 0);
}

#[tokio::test]
async fn dotted_names_are_the_same_events() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    let (bo, olga, acme) = (stage.bo, stage.olga, stage.acme);
    let world = &mut stage.world;
    world
        .prefers(bo, "global / alert.triggered / email = muted", None)
        .await;
    world
        .prefers(olga, "global / node_health_degraded / in_app = muted", None)
        .await;
    world
        .event("alert.triggered")
        .payload(json!({"alert_id": 1, "user_id": bo}))
        .await;
    for name in ["node.health_degraded", "node.health.degraded"] {
        let event = world.event(name).org(acme);
        event
            .payload(json!({"node_id": "n", "health_score": 40}))
            .await;
    }
    // Of the thirteen there is no such name.
    world.event("invite.accepted").org(acme).actor(bo).await;
    let status = stage.db.cli(&["status"]).success();
    let output = String::from_utf8_lossy(&status.get_output().stdout).into_owned();
    assert!(!output.contains("alert.triggered"), "{output}");
    let report = stage.run().await;
    assert_eq!(report.events, 3);
    assert_eq!(
        report.unhandled_types,
        ["invite.accepted".to_owned()].into()
    );
    insta::assert_snapshot!(stage.queued().await, @"
    1 alert_triggered slack to ops: pending
    2 node_health_degraded slack to ops: pending
    3 node_health_degraded slack to ops: pending
    ");
    insta::assert_snapshot!(stage.db.titles().await, @"
    Bo: Alert 1 was triggered
    Olga by mail, immediate: The health of node n is down to 40
    Olga by mail, immediate: The health of node n is down to 40
    ");
    assert_eq!(
        stage
            .db
            .texts("SELECT DISTINCT event_type FROM pending_emails")
            .await,
        ["node_health_degraded"]
    );
}

#[tokio::test]
async fn the_person_named_and_the_owners_are_notified() {
    let mut stage = Stage::new().await;
    let (bo, olga, acme) = (stage.bo, stage.olga, stage.acme);
    let world = &mut stage.world;
    let max = world.user("Max").await;
    world.members(acme, "member", [max]).await;
    world.members(acme, "owner", [bo]).await;
    world
        .prefers(olga, "global / margin_alert / email = digest", None)
        .await;
    // Bo is an owner too, and is notified once.
    world
        .event("margin_alert")
        .org(acme)
        .payload(json!({"user_id": bo, "health_score": 1.1, "message": "Add <b>funds</b>"}))
        .await;
    // The owner who is the actor is not notified.
    world
        .event("node_terminated")
        .org(acme)
        .actor(olga)
        .payload(json!({"node_id": "n-1"}))
        .await;
    // Nobody is named.
    world
        .event("node_launched")
        .payload(json!({"node_id": "n-2", "org_id": "org_17"}))
        .await;
    let report = stage.run().await;
    assert_eq!(
        (report.events, report.notifications, report.emails),
        (3, 3, 3)
    );
    insta::assert_snapshot!(stage.db.titles().await, @"
    Bo by mail, immediate: Margin alert: the health score is 1.1
    Bo by mail, immediate: Node n-1 was terminated
    Bo: Margin alert: the health score is 1.1

    Add <b>funds</b>

    Organisation: Acme
    Bo: Node n-1 was terminated

    Organisation: Acme
    Olga by mail, aggregated: Margin alert: the health score is 1.1
    Olga: Margin alert: the health score is 1.1

    Add <b>funds</b>

    User: Bo
    Organisation: Acme
    ");
    let keys = "SELECT jsonb_array_length(body_data -> 'guards') FROM pending_emails WHERE event_type = 'margin_alert'";
    assert_eq!(stage.db.texts(keys).await, ["1", "1"]);
}

#[tokio::test]
async fn an_alert_uses_the_channels_it_names() {
    let mut stage = Stage::new().await;
    for channel in ["slack", "discord", "webhook", "email", "sms"] {
        stage.listener(channel, channel).await;
    }
    let choices = [
        json!({}),
        json!({"channels": {"inapp": true, "slack": true, "email": false}, "notify_email": true}),
        json!({"channels": {"sms": true}}),
        json!({"channels": {"email": true, "webhook": true}}),
        json!({"channels": {}}),
        json!({"notify_email": false}),
        json!({"notify_inapp": false, "notify_email": true}),
        json!({"channels": ["slack"]}),
        json!({"notify_inapp": "no"}),
    ];
    for (no, choice) in choices.into_iter().enumerate() {
        stage.alert(&format!("a-{no}"), choice).await;
    }
    let report = stage.run().await;
    assert_eq!((report.events, report.failed), (7, 2));
    let rows = stage
        .db
        .texts(
            "SELECT concat_ws(' ', e.id, CASE WHEN n.id IS NOT NULL THEN 'app' END,
                    CASE WHEN m.id IS NOT NULL THEN 'mail' END,
                    (SELECT 'endpoints ' || string_agg(channel, ',' ORDER BY channel) FROM notification_deliveries
                      WHERE event_id = e.id AND endpoint_id IS NOT NULL),
                    (SELECT 'phone ' || target || ' ' || recipient FROM notification_deliveries
                      WHERE event_id = e.id AND user_id IS NOT NULL), np.error_message)
               FROM domain_events e
               JOIN notification_processing np ON np.event_id = e.id
               LEFT JOIN notifications n ON n.event_id = e.id
               LEFT JOIN pending_emails m ON m.event_id = e.id
              ORDER BY e.id",
        )
        .await;
    insta::assert_snapshot!(rows.join("\n").replace(&stage.bo.to_string(), "BO"), @"
    1 app mail endpoints discord,email,slack,sms,webhook
    2 app endpoints slack
    3 endpoints sms phone sms user:BO
    4 mail endpoints email,webhook
    5
    6 app endpoints discord,email,slack,sms,webhook
    7 mail endpoints discord,email,slack,sms,webhook
    8 invalid alert_triggered event: payload.channels must be an object of true and false
    9 invalid alert_triggered event: payload.notify_inapp must be true or false
    ");
}

#[tokio::test]
async fn an_alert_is_sent_once_a_day() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    let sms = json!({"message": "one", "channels": {"inapp": true, "email": true, "slack": true, "sms": true}});
    stage.alert("a", sms).await;
    // In the same batch, in a later run, and on another day.
    stage.alert("a", json!({"message": "two"})).await;
    stage.run().await;
    stage.alert("a", json!({"message": "three"})).await;
    let report = stage.run().await;
    assert_eq!((report.deliveries, report.suppressed), (0, 2));
    let yesterday = json!({"alert_id": "a", "user_id": stage.bo, "message": "four"});
    let event = stage.world.event("alert_triggered").hours_ago(24);
    event.payload(yesterday).await;
    let day = Settings {
        max_event_age: Duration::from_hours(48),
        ..stage.settings()
    };
    stage.db.run_with(&day).await;
    insta::assert_snapshot!(stage.queued().await, @"
    1 alert_triggered slack to ops: pending
    1 alert_triggered sms to user:BO: pending
    2 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    3 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    4 alert_triggered slack to ops: pending
    ");
    insta::assert_snapshot!(stage.db.titles().await, @"
    Bo by mail, immediate: Alert a was triggered
    Bo by mail, immediate: Alert a was triggered
    Bo: Alert a was triggered

    four
    Bo: Alert a was triggered

    one
    ");
    assert_eq!(
        stage.db.statuses().await,
        [("completed".to_owned(), 4)].into()
    );
}

#[tokio::test]
async fn the_same_content_is_sent_once_in_24_hours() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    stage.listener("phone", "sms").await;
    let hot = json!({"message": "Hot", "condition_json": {"above": 90}});
    stage.alert("a", hot.clone()).await;
    stage.run().await;
    stage.alert("b", hot.clone()).await;
    // Another recipient was not notified.
    stage.listener("later", "discord").await;
    stage.run().await;
    insta::assert_snapshot!(stage.queued().await, @"
    1 alert_triggered slack to ops: pending
    1 alert_triggered sms to phone: pending
    2 alert_triggered discord to later: pending
    2 alert_triggered slack to ops: cancelled (duplicate: same content within 24 hours)
    2 alert_triggered sms to phone: cancelled (duplicate: same content within 24 hours)
    ");
    // A day later it may be sent again, once.
    stage
        .db
        .execute(
            "UPDATE notification_delivery_guards SET until = now() WHERE guard LIKE '%content:%'",
        )
        .await;
    stage.alert("c", hot.clone()).await;
    stage.alert("d", hot).await;
    let report = stage.run().await;
    assert_eq!((report.deliveries, report.suppressed), (3, 3));
    let keys = "SELECT count(DISTINCT delivery_key) || ' of ' || count(*) FROM notification_delivery_guards WHERE until > now() AND guard LIKE '%content:%'";
    assert_eq!(stage.db.text(keys).await, "3 of 3");
}

async fn one_after_the_other() -> Stage {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    let alerts = [
        ("x", "one"),
        ("x", "two"),
        ("y", "two"),
        ("y", "three"),
        ("z", "one"),
    ];
    for (alert, message) in alerts {
        stage.alert(alert, json!({"message": message})).await;
    }
    stage
}

/// A suppressed message takes no dedup key: it suppresses nothing itself.
#[tokio::test]
async fn only_what_is_sent_suppresses_others() {
    let stage = one_after_the_other().await;
    let dry = stage.db.cli(&["run", "--dry-run"]).success();
    let dry = String::from_utf8_lossy(&dry.get_output().stdout).into_owned();
    assert!(dry.contains("deliveries=2 suppressed=5 "), "{dry}");
    let report = stage.run().await;
    assert_eq!((report.deliveries, report.suppressed), (2, 5));
    let together = stage.queued().await;
    insta::assert_snapshot!(together, @"
    1 alert_triggered slack to ops: pending
    2 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    3 alert_triggered slack to ops: pending
    4 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    5 alert_triggered slack to ops: cancelled (duplicate: same content within 24 hours)
    ");
    // The same, in batches of one.
    let twin = one_after_the_other().await;
    let settings = Settings {
        batch_size: 1,
        ..twin.settings()
    };
    twin.db.run_with(&settings).await;
    let rows =
        "SELECT format('%s %s', event_id, status) FROM notification_deliveries ORDER BY event_id";
    assert_eq!(stage.db.texts(rows).await, twin.db.texts(rows).await);
}

/// Together they are sent as they would be one by one, and as a dry run says.
#[tokio::test]
async fn a_batch_sends_what_its_events_would_send_alone() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut stages = Vec::new();
    for _ in 0..2 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut stage = Stage::new().await;
        stage.listener("ops", "slack").await;
        stage.listener("program", "webhook").await;
        for _ in 0..80 {
            let [alert, message, choice] = [9, 12, 4].map(|of| random.random_range(0..of));
            let more = match choice {
                0 => json!({"message": message, "channels": {"slack": true}}),
                1 => json!({"message": format!("{message}"), "channels": {"webhook": true}}),
                _ => json!({"message": format!("{message}")}),
            };
            stage.alert(&format!("{alert}"), more).await;
        }
        stages.push(stage);
    }
    let dry = stages[0].db.cli(&["run", "--dry-run"]).success();
    let dry = String::from_utf8_lossy(&dry.get_output().stdout).into_owned();
    let report = stages[0].run().await;
    let counts = format!(
        "deliveries={} suppressed={} ",
        report.deliveries, report.suppressed
    );
    assert!(dry.contains(&counts), "{counts} in {dry}");
    let alone = Settings {
        batch_size: 1,
        ..stages[1].settings()
    };
    stages[1].db.run_with(&alone).await;
    assert_eq!(stages[0].queued().await, stages[1].queued().await);
}

#[tokio::test]
async fn workers_side_by_side_send_it_once() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    stage.listener("program", "webhook").await;
    for no in 0..300 {
        let more = json!({"message": format!("{}", no % 3)});
        stage.alert(&format!("a-{}", no % 7), more).await;
    }
    let workers: Vec<_> = (0..3)
        .map(|_| {
            Worker::start(
                stage
                    .db
                    .binary()
                    .args(["--batch-size", "7", "--format", "json"]),
            )
        })
        .collect();
    for worker in workers {
        let ended = worker.end().await;
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(
        stage.db.statuses().await,
        [("completed".to_owned(), 300)].into()
    );
    // Three messages in all, each of another alert.
    let shown = "SELECT channel || ' ' || count(*) || ' ' || count(DISTINCT message ->> 'text') || ' ' || count(DISTINCT message -> 'data' ->> 'alert_id')
                  FROM notification_deliveries WHERE status = 'pending' GROUP BY channel ORDER BY 1";
    assert_eq!(
        stage.db.texts(shown).await,
        ["slack 3 3 3", "webhook 3 3 3"]
    );
    assert_eq!(stage.db.count("notification_deliveries").await, 600);
    assert_eq!(stage.db.count("notification_delivery_guards").await, 12);
    // People are notified of each alert.
    assert_eq!(stage.db.count("notifications").await, 7);
    assert_eq!(stage.db.count("pending_emails").await, 7);
}

/// What the database refuses for one event is refused for that event alone, with all its effects.
#[tokio::test]
async fn nothing_is_routed_when_the_settling_fails() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    let mut events = Vec::new();
    for no in 0..9 {
        events.push(
            stage
                .alert(&format!("a-{no}"), json!({"message": format!("{no}")}))
                .await,
        );
    }
    let malformed = stage.alert("b", json!({"user_id": "bo"})).await;
    let offender = events[4];
    stage
        .db
        .execute(format!(
            "CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF NEW.event_id = {offender} THEN RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation'; END IF;
                   RETURN NEW; END $$;
             CREATE TRIGGER answer BEFORE INSERT ON notification_deliveries FOR EACH ROW EXECUTE FUNCTION answer()"
        ))
        .await;
    let report = stage.run().await;
    assert_eq!((report.events, report.failed, report.deliveries), (8, 2, 8));
    insta::assert_snapshot!(stage.db.state(offender).await, @"failed 0 database refused: SQLSTATE 23514: not this one");
    insta::assert_snapshot!(stage.db.state(malformed).await, @"failed 0 invalid alert_triggered event: payload.user_id must be a UUID");
    for table in [
        "notification_deliveries",
        "notifications",
        "pending_emails",
        "notification_once",
    ] {
        assert_eq!(stage.db.count(table).await, 8, "{table}");
        let of_it = format!("{table} WHERE event_id = {offender}");
        assert_eq!(stage.db.count(&of_it).await, 0, "{table}");
    }
    assert_eq!(stage.db.count("notification_delivery_guards").await, 16);
    // A claim that was taken away writes nothing either.
    let worker = {
        stage.alert("late", json!({})).await;
        stage.db.stopped_after_its_claim().await
    };
    stage
        .db
        .execute("UPDATE notification_processing SET processing_status = 'pending', claim_token = NULL WHERE processing_status = 'processing'")
        .await;
    worker.signal("CONT");
    assert!(worker.end().await.status.success());
    let late = "notification_deliveries WHERE message -> 'data' ->> 'alert_id' = 'late'";
    stage.run().await;
    assert_eq!(stage.db.count(late).await, 1);
}

#[tokio::test]
async fn a_dry_run_and_explain_list_endpoints() {
    let mut stage = Stage::new().await;
    stage.listener("ops", "slack").await;
    stage.listener("program", "webhook").await;
    stage.listener("sleeping", "slack").await;
    stage
        .db
        .execute("UPDATE notification_endpoints SET enabled = false WHERE name = 'sleeping'")
        .await;
    let choice = json!({"name": "CPU", "channels": {"inapp": true, "slack": true, "sms": true}});
    let first = stage.alert("a", choice).await;
    let again = stage.alert("a", json!({"message": "again"})).await;
    let bo = stage.bo.to_string();
    let printed = |arguments: &[&str]| {
        let assert = stage.db.cli(arguments).success();
        let output = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        let lines = output.lines().filter(|line| {
            let volatile = ["  occurred", "  status", "  worker"];
            !volatile.iter().any(|start| line.starts_with(start))
        });
        let shown = lines.collect::<Vec<_>>().join("\n").replace(&bo, "BO");
        // What became of the deliveries is another matter.
        let (shown, _) = shown.split_once("\n\nDeliveries:").unwrap_or((&shown, ""));
        shown.to_owned()
    };
    let [first, again] = [first, again].map(|event| event.to_string());
    insta::assert_snapshot!(printed(&["run", "--dry-run"]), @"
    event 1        alert_triggered
        BO  app: delivered                     e-mail: none for this event           Alert CPU was triggered
        ops                                   slack                              queued                              Alert CPU was triggered
        sleeping                              slack                              disabled
        BO  sms                                queued                              Alert CPU was triggered
        program                               webhook                            another channel was chosen
    event 2        alert_triggered
        BO  app: skipped: notified once before  e-mail: skipped: notified once before
        ops                                   slack                              duplicate alert of that day
        sleeping                              slack                              disabled
        program                               webhook                            queued                              Alert a was triggered
    Dry run: nothing was written. A run would settle events=2 notifications=1 merged=0 emails=0 deliveries=3 suppressed=2 failed=0 expired=0 ignored=0 expired_unhandled=0
    ");
    insta::assert_snapshot!(printed(&["explain", &first]), @"
    event 1  alert_triggered
      audience  the person BO

    What it would do now:
      Alert CPU was triggered
        BO  Bo
          app    delivered            default of the event type
          e-mail none for this event  the event type
      Endpoints
        slack    ops                                        queued                      scope and event types of the endpoint
        slack    sleeping                                   disabled                    the endpoint is disabled
        sms      user:BO  queued                      the event's channels
        webhook  program                                    another channel was chosen  the event's channels
    ");
    let json = printed(&["run", "--dry-run", "--format", "json"]);
    let endpoints: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["kind"] == "endpoint" && line["outcome"] == "queued")
        .collect();
    let report = stage.run().await;
    assert_eq!(report.deliveries, endpoints.len() as u64);
    assert!(json.contains(r#""deliveries":3"#), "{json}");
    let messages = "SELECT message FROM notification_deliveries WHERE status = 'pending' ORDER BY event_id, channel, recipient";
    let promised: Vec<_> = endpoints
        .iter()
        .map(|line| line["message"]["title"].clone())
        .collect();
    let made: Vec<Value> = stage
        .db
        .texts(messages)
        .await
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).expect("JSON")["title"].clone())
        .collect();
    assert_eq!(promised, made);
    insta::assert_snapshot!(printed(&["explain", &first]), @"
    event 1  alert_triggered
      audience  the person BO

    What it did:
      Alert CPU was triggered
        BO  Bo
          app    delivered, unread (notifications 1)  default of the event type
          e-mail none for this event                  the event type
      Endpoints
        slack    ops                                        pending (notification_deliveries 1)  scope and event types of the endpoint
        slack    sleeping                                   disabled                             the endpoint is disabled
        sms      user:BO  pending (notification_deliveries 2)  the event's channels
        webhook  program                                    another channel was chosen           the event's channels
    ");
    insta::assert_snapshot!(printed(&["explain", &again]), @"
    event 2  alert_triggered
      audience  the person BO

    What it did:
      Alert a was triggered
        BO  Bo
          both   skipped: notified once before  once per person (notification_once)
      Endpoints
        slack    ops       cancelled (notification_deliveries 3)  notification_delivery_guards
        slack    sleeping  disabled                               the endpoint is disabled
        webhook  program   pending (notification_deliveries 4)    scope and event types of the endpoint
    ");
    insta::assert_snapshot!(printed(&["explain", &first, "--user", &stage.bo.to_string()]), @"
    event 1  alert_triggered
      audience  the person BO

    What it did:
      Alert CPU was triggered
        BO  Bo
          app    delivered, unread (notifications 1)  default of the event type
          e-mail none for this event                  the event type
      Endpoints
        sms  user:BO  pending (notification_deliveries 2)  the event's channels
    ");

    stage
        .db
        .execute(format!(
            "ALTER TABLE profiles ADD COLUMN IF NOT EXISTS phone text;
             UPDATE profiles SET phone = '+49 151 12345678' WHERE id = '{bo}'"
        ))
        .await;
    stage.db.migrate().await;
    let explained = stage.db.cli(&["explain", &first]).success();
    let explained = String::from_utf8_lossy(&explained.get_output().stdout).into_owned();
    assert!(explained.contains("+49…78"), "{explained}");
    assert!(!explained.contains("@example.com"), "{explained}");
}
