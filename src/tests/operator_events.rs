//! Events of operations and billing: which endpoints and people receive them, once.

mod dedup;
mod shown;

use notify_fan_out::channels::Channel;
use notify_fan_out::fan_out::FanOutSettings;
use serde_json::{Value, json};

use crate::harness::{ACME, ATLAS, BO, OLGA, Summary as _, TestDatabase, World, id};

/// Acme owns Atlas; Olga owns Acme, Bo is nobody in particular.
async fn stage() -> (TestDatabase<'static>, World) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    world.users(["Bo", "Olga"]).await;
    world.acme([OLGA]).await;
    (db, world)
}

/// With endpoints for all events.
async fn with_endpoints<const N: usize>(
    endpoints: [(&str, &str); N],
) -> (TestDatabase<'static>, World) {
    let (db, world) = stage().await;
    for (channel, name) in endpoints {
        db.endpoint(channel, name).await;
    }
    (db, world)
}

/// An alert about Bo, with what else it says.
async fn alert(world: &mut World, alert_id: &str, more: Value) -> i64 {
    let mut payload = json!({"alert_id": alert_id, "user_id": BO});
    for (key, value) in more.as_object().expect("an object") {
        payload[key] = value.clone();
    }
    world.event("alert_triggered").payload(payload).await
}

/// What is queued for endpoints and phones, a line each: event, who, what becomes of it.
async fn queued(db: &TestDatabase<'_>) -> String {
    let rows = db
        .texts(
            "SELECT format('%s %s %s to %s: %s%s', d.event_id, d.event_type, d.channel,
                    coalesce(e.name, d.recipient), d.status, ' (' || d.reason || ')')
               FROM notification_deliveries d
               LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
              ORDER BY d.event_id, d.channel, e.name, d.recipient",
        )
        .await;
    rows.join("\n").replace(&BO.to_string(), "BO")
}

#[tokio::test]
async fn endpoints_receive_by_scope_and_type_once() {
    let (db, mut world) = stage().await;
    let zeta = world.org("Zeta", []).await;
    for (name, scope, channel, types) in [
        ("everything", None, "slack", "*"),
        (
            "payments",
            None,
            "webhook",
            "payment_failed,payment_succeeded",
        ),
        ("acme", Some(("organisation", ACME)), "discord", "*"),
        ("zeta", Some(("organisation", zeta)), "discord", "*"),
        ("atlas", Some(("project", ATLAS)), "email", "node_launched"),
        // An identifier is one of its own kind only.
        ("no project", Some(("project", ACME)), "slack", "*"),
        ("disabled", None, "sms", "*"),
    ] {
        let endpoint = id("endpoint", name);
        let scope = scope.map_or("'global', NULL".to_owned(), |(scope, id)| {
            format!("'{scope}', '{id}'")
        });
        world
            .execute(format!(
                "INSERT INTO notification_endpoints (id, name, scope, scope_id, channel, target, settings, event_types, enabled)
                 VALUES ('{endpoint}', '{name}', {scope}, '{channel}', '…', '{{}}', '{{{types}}}', '{name}' <> 'disabled')"
            ))
            .await;
    }
    let failed = json!({"tenant_id": "t-1", "amount": 5});
    world
        .event("payment_failed")
        .org(ACME)
        .payload(failed)
        .await;
    let launched = world.event("node_launched").project(ATLAS);
    launched.payload(json!({"node_id": "n-1"})).await;
    let created = json!({"name": "Zeta", "tenant_id": zeta});
    world.event("tenant_created").payload(created).await;
    // Of the application's own types none is for endpoints.
    let accepted = world.event("invite_accepted").org(ACME);
    accepted.actor(BO).await;
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=4 notifications=2 emails=2 deliveries=7");
    insta::assert_snapshot!(queued(&db).await, @"
    1 payment_failed discord to acme: pending
    1 payment_failed slack to everything: pending
    1 payment_failed webhook to payments: pending
    2 node_launched email to atlas: pending
    2 node_launched slack to everything: pending
    3 tenant_created discord to zeta: pending
    3 tenant_created slack to everything: pending
    ");
    let target =
        "SELECT replace(concat_ws(' ', channel, target, recipient), endpoint_id::text, 'ID')
        FROM notification_deliveries WHERE event_type = 'node_launched' ORDER BY 1";
    assert_eq!(
        db.texts(target).await,
        ["email email endpoint:ID", "slack endpoint:ID endpoint:ID"]
    );
    let message = "SELECT jsonb_pretty(message) FROM notification_deliveries d
        JOIN notification_endpoints e ON e.id = endpoint_id WHERE name = 'acme'";
    let message = db.text(message).await;
    insta::assert_snapshot!(message.replace(&ACME.to_string(), "ACME"), @r#"
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
    // Whatever brings an event back, nobody receives it twice.
    db.execute(
        "UPDATE notification_processing SET processing_status = 'pending', next_attempt_at = now()",
    )
    .await;
    let again = db.run().await;
    assert_eq!((again.events, again.deliveries), (4, 0));
    assert_eq!(db.count("notification_deliveries").await, 7);
}

#[tokio::test]
async fn routes_of_the_environment_need_no_row() {
    let (db, mut world) = stage().await;
    let routes = [
        (Channel::Slack, "env:slack".to_owned()),
        (Channel::Discord, "env:discord".to_owned()),
        (Channel::Email, "env:email:b5fc85e5".to_owned()),
    ];
    let settings = FanOutSettings {
        routes: routes.into(),
        ..db.settings()
    };
    db.execute("INSERT INTO notification_delivery_targets (target, disabled_reason) VALUES ('env:discord', 'it is gone'), ('env:slack', NULL)")
        .await;
    alert(&mut world, "a", json!({})).await;
    alert(&mut world, "b", json!({"channels": {"email": true}})).await;
    db.run_with(&settings).await;
    let rows = "SELECT concat_ws(' ', event_id, channel, target, recipient, endpoint_id, user_id) FROM notification_deliveries ORDER BY id";
    insta::assert_snapshot!(db.texts(rows).await.join("\n"), @"
    1 email email env:email:b5fc85e5
    1 slack env:slack env:slack
    2 email email env:email:b5fc85e5
    ");
    // As it was called before routes of mails had names of their own.
    db.execute("INSERT INTO notification_delivery_targets (target, disabled_reason) VALUES ('env:email', 'manually')")
        .await;
    alert(&mut world, "c", json!({"channels": {"email": true}})).await;
    assert_eq!(db.run_with(&settings).await.deliveries, 0);
}

#[tokio::test]
async fn dotted_names_are_the_same_events() {
    let (db, mut world) = with_endpoints([("slack", "ops")]).await;
    for (user, rule) in [
        (BO, "global / alert.triggered / email = muted"),
        (OLGA, "global / node_health_degraded / in_app = muted"),
    ] {
        world.prefers(user, rule, None).await;
    }
    let alert = json!({"alert_id": 1, "user_id": BO});
    world.event("alert.triggered").payload(alert).await;
    for name in ["node.health_degraded", "node.health.degraded"] {
        let event = world.event(name).org(ACME);
        let payload = json!({"node_id": "n", "health_score": 40});
        event.payload(payload).await;
    }
    // Of the application's own types there is no such name.
    world.event("invite.accepted").org(ACME).actor(BO).await;
    let status = db.prints("status");
    assert!(!status.contains("alert.triggered"), "{status}");
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @r#"events=3 notifications=1 emails=2 deliveries=3 suppressed=3 unhandled_types=["invite.accepted"]"#);
    insta::assert_snapshot!(queued(&db).await, @"
    1 alert_triggered slack to ops: pending
    2 node_health_degraded slack to ops: pending
    3 node_health_degraded slack to ops: pending
    ");
    insta::assert_snapshot!(db.titles().await, @"
    Bo: Alert 1 was triggered
    Olga by mail, immediate: The health of node n is down to 40
    Olga by mail, immediate: The health of node n is down to 40
    ");
    let types = "SELECT DISTINCT event_type FROM pending_emails";
    assert_eq!(db.text(types).await, "node_health_degraded");
}

#[tokio::test]
async fn the_person_named_and_the_owners_are_notified() {
    let (db, mut world) = stage().await;
    let max = world.user("Max").await;
    world.members(ACME, "member", [max]).await;
    world.members(ACME, "owner", [BO]).await;
    let digest = "global / margin_alert / email = digest";
    world.prefers(OLGA, digest, None).await;
    // Bo is an owner too, and is notified once.
    let margin = json!({"user_id": BO, "health_score": 1.1, "message": "Add <b>funds</b>"});
    world.event("margin_alert").org(ACME).payload(margin).await;
    // The owner who is the actor is not notified.
    let terminated = world.event("node_terminated").org(ACME).actor(OLGA);
    terminated.payload(json!({"node_id": "n-1"})).await;
    // Nobody is named.
    let launched = json!({"node_id": "n-2", "org_id": "org_17"});
    world.event("node_launched").payload(launched).await;
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=3 notifications=3 emails=3");
    insta::assert_snapshot!(db.titles().await, @"
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
    assert_eq!(db.texts(keys).await, ["1", "1"]);
}

#[tokio::test]
async fn alert_uses_the_channels_it_names() {
    let channels = ["slack", "discord", "webhook", "email", "sms"];
    let (db, mut world) = with_endpoints(channels.map(|channel| (channel, channel))).await;
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
        alert(&mut world, &format!("a-{no}"), choice).await;
    }
    let report = db.run().await;
    assert_eq!((report.events, report.failed), (7, 2));
    let rows = db.texts(
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
    insta::assert_snapshot!(rows.join("\n").replace(&BO.to_string(), "BO"), @"
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

/// What the database refuses for one event is refused for that event alone, with all its effects.
#[tokio::test]
async fn nothing_is_routed_when_the_settling_fails() {
    let (db, mut world) = with_endpoints([("slack", "ops")]).await;
    let mut events = Vec::new();
    for no in 0..9 {
        let more = json!({"message": format!("{no}")});
        events.push(alert(&mut world, &format!("a-{no}"), more).await);
    }
    let malformed = alert(&mut world, "b", json!({"user_id": "bo"})).await;
    let offender = events[4];
    db.execute(format!(
        "ALTER TABLE notification_deliveries ADD CONSTRAINT fine CHECK (event_id <> {offender})"
    ))
    .await;
    insta::assert_snapshot!(db.run().await.summary(), @"events=8 notifications=8 emails=8 deliveries=8 failed=2");
    insta::assert_snapshot!(db.states([offender, malformed]).await, @r#"
    failed 0 database refused: SQLSTATE 23514: new row for relation "notification_deliveries" violates check constraint "fine"
    failed 0 invalid alert_triggered event: payload.user_id must be a UUID
    "#);
    for (table, count) in [
        ("notification_deliveries", 8),
        ("notifications", 8),
        ("pending_emails", 8),
        ("notification_once", 8),
        ("notification_delivery_guards", 16),
    ] {
        assert_eq!(db.count(table).await, count, "{table}");
    }
    // A claim that was taken away writes nothing either.
    alert(&mut world, "late", json!({})).await;
    let worker = db.stopped_after_its_claim().await;
    db.execute("UPDATE notification_processing SET processing_status = 'pending', claim_token = NULL WHERE processing_status = 'processing'")
        .await;
    worker.signal("CONT");
    worker.ends(0).await;
    db.run().await;
    let late = "notification_deliveries WHERE message -> 'data' ->> 'alert_id' = 'late'";
    assert_eq!(db.count(late).await, 1);
}
