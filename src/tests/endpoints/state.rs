//! Disabled, enabled and removed endpoints, and routes of the environment.

use uuid::Uuid;

use super::{LOCAL, assert_redacted, endpoint, json, run};
use crate::channels::receiver::{Receiver, answer};
use crate::harness::{Delivery, TestDatabase, complaint};

/// Deliveries that wait for an endpoint, and others that are in flight or done.
async fn queue(db: &TestDatabase<'_>, name: &str, count: u32) {
    db.execute(format!(
        "INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, status)
         SELECT e.channel, CASE WHEN e.channel IN ('email', 'sms') THEN e.channel ELSE 'endpoint:' || e.id END,
                'endpoint:' || e.id, e.id, 'tenant_created', status
           FROM notification_endpoints e, generate_series(1, {count}), unnest('{{pending,sending,delivered}}'::text[]) AS status
          WHERE e.name = '{name}'"
    ))
    .await;
}

async fn cancelled(db: &TestDatabase<'_>) -> String {
    let rows = db.texts(
        "SELECT concat_ws(' ', coalesce(e.name, d.target), d.status, d.code, d.reason, d.finished_at IS NOT NULL, count(*))
           FROM notification_deliveries d LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
          WHERE d.status IN ('pending', 'cancelled') GROUP BY e.name, d.target, d.status, d.code, d.reason, d.finished_at IS NOT NULL ORDER BY 1",
    );
    rows.await.join("\n")
}

#[tokio::test]
async fn what_waits_for_a_disabled_endpoint_is_cancelled() {
    let db = TestDatabase::new().await;
    for (name, destination) in [
        ("ops", "--channel webhook --url https://example.com/x"),
        ("other", "--channel slack --url https://hooks.slack.com/x"),
        ("crew", "--channel email --to ada.okafor@example.com"),
    ] {
        let add = format!("add {name} {destination}");
        endpoint(&db, &[], &add).await.succeeded();
        queue(&db, name, 2).await;
    }
    // The job's role may switch, but neither add nor remove.
    let job = async |line: &str| run(db.binary(), &[], line).await;
    let mut printed = String::new();
    for line in [
        "disable ops --reason 'moving\nrooms'",
        "disable ops",
        "disable crew",
    ] {
        printed += &job(line).await.succeeded();
    }
    insta::assert_snapshot!(printed, @"
    ops is disabled; 2 pending deliveries were cancelled.
    ops was disabled already; nothing was changed.
    crew is disabled; 2 pending deliveries were cancelled.
    ");
    insta::assert_snapshot!(cancelled(&db).await, @"
    crew cancelled endpoint_disabled the endpoint was disabled: manually t 2
    ops cancelled endpoint_disabled the endpoint was disabled: manually: moving rooms t 2
    other pending f 2
    ");
    let listed = json(&job("list --format json").await.succeeded());
    let listed = listed["endpoints"].as_array().expect("endpoints").iter();
    let reasons: Vec<_> = listed
        .map(|one| format!("{} {}", one["name"], one["disabled_reason"]))
        .collect();
    insta::assert_snapshot!(reasons.join("\n"), @r#"
    "crew" "manually"
    "ops" "manually: moving rooms"
    "other" null
    "#);

    // Enabled again, it has no past that would disable it at the first failure.
    db.execute(
        "INSERT INTO notification_delivery_targets (target, failing_since, failures, last_error)
         SELECT 'endpoint:' || id, now() - interval '9 days', 40, 'x' FROM notification_endpoints",
    )
    .await;
    let mut printed = job("enable ops").await.succeeded();
    printed += &job("enable ops").await.succeeded();
    insta::assert_snapshot!(printed, @"
    ops is enabled.
    ops was enabled already; nothing was changed.
    ");
    let forgotten = "notification_delivery_targets WHERE failing_since IS NULL AND failures = 0";
    assert_eq!(db.count(forgotten).await, 1);
    let enabled =
        "notification_endpoints WHERE enabled AND disabled_reason IS NULL AND disabled_at IS NULL";
    assert_eq!(db.count(enabled).await, 2);

    queue(&db, "ops", 3).await;
    let printed = job("remove ops").await.failed(1);
    let advice = "psql -d DATABASE -v role='notify_fan_out' -v endpoints=1 -f scripts/grants.sql";
    assert!(printed.contains(advice), "{printed}");
    let printed = endpoint(&db, &[], "remove ops").await.succeeded();
    insta::assert_snapshot!(printed, @"ops is removed; 3 pending deliveries were cancelled.");
    let removed = "notification_deliveries WHERE code = 'endpoint_removed'";
    assert_eq!(db.count(removed).await, 3);
    assert_eq!(db.count("notification_delivery_targets").await, 2);
    let printed = endpoint(&db, &[], "remove ops").await.failed(1);
    insta::assert_snapshot!(complaint(&printed), @r#"no endpoint is named "ops"; there are other, crew"#);
}

#[tokio::test]
async fn an_endpoint_is_known_by_its_identifier_too() {
    let db = TestDatabase::new().await;
    let cli = async |line: &str| endpoint(&db, &[], line).await;
    let webhook = "--channel webhook --url https://example.com/x";
    cli(&format!("add ops {webhook}")).await.succeeded();
    let id = db.text("SELECT id FROM notification_endpoints").await;
    let shown = cli(&format!("show {id} --format json")).await;
    assert_eq!(json(&shown.succeeded())["name"], "ops");
    let disabled = cli(&format!("disable endpoint:{id}")).await.succeeded();
    let enabled = cli(&format!("enable {}", id.to_uppercase())).await;
    insta::assert_snapshot!(disabled + &enabled.succeeded(), @"
    ops is disabled.
    ops is enabled.
    ");
    let rotated = cli(&format!("rotate-secret endpoint:{id}"))
        .await
        .succeeded();
    assert!(rotated.contains("New signing secret of ops"), "{rotated}");
    let nobody = cli(&format!("show {}", Uuid::nil())).await.failed(1);
    insta::assert_snapshot!(complaint(&nobody), @r#"no endpoint is named "00000000-0000-0000-0000-000000000000"; there are ops"#);
    // A name is a name, even if it is another's identifier.
    cli(&format!("add {id} {webhook}")).await.succeeded();
    let removed = cli(&format!("remove endpoint:{id}")).await.succeeded();
    assert_eq!(removed, "ops is removed.\n");
    let removed = cli(&format!("remove {id}")).await.succeeded();
    assert_eq!(removed, format!("{id} is removed.\n"));
}

/// Exit code 1, and what is said.
const REFUSED: &str = "
enable env:discord => env:discord is switched off in the environment, by NOTIFICATIONS_DISCORD_ENABLED
test env:discord => env:discord is switched off in the environment
remove env:slack => env:slack is a route of the environment; take out NOTIFICATIONS_SLACK_WEBHOOK_URL there
enable env:sms => no endpoint is named \"env:sms\"; there are env:slack, env:discord, env:email:70eacade
rotate-secret env:slack => env:slack is a route of the environment
";

#[tokio::test]
async fn routes_of_the_environment_need_no_row() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], "ok")).await;
    let url = format!("{}T0kenOfTheRoom", receiver.base());
    let routes = [
        LOCAL[0],
        LOCAL[1],
        ("NOTIFICATIONS_SLACK_WEBHOOK_URL", url.as_str()),
        ("NOTIFICATIONS_DISCORD_WEBHOOK_URL", "anything"),
        ("NOTIFICATIONS_DISCORD_ENABLED", "false"),
        ("NOTIFICATIONS_EMAIL_TO", "ada.okafor@example.com"),
    ];
    let job = async |line: &str| run(db.binary(), &routes, line).await;
    // Its answer said that it is gone.
    db.execute(
        "INSERT INTO notification_delivery_targets (target, disabled_reason, disabled_at, failing_since)
         VALUES ('env:slack', 'no_service', '2026-11-21 10:00Z', now())",
    )
    .await;
    db.delivery(Delivery::route("slack")).await;
    let mail = Delivery::route("email").with("recipient", "'env:email:70eacade'");
    db.delivery(mail).await;
    let listed = job("list").await.succeeded();
    let listed = listed.replace(&receiver.address.to_string(), "HOST");
    let cells = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let listed: Vec<_> = listed.lines().map(cells).collect();
    insta::assert_snapshot!(listed.join("\n"), @"
    name channel target scope events state
    env:slack slack http://HOST/… global all disabled since 2026-11-21 10:00:00 UTC: no_service
    env:discord discord – global all disabled: by the environment
    env:email:70eacade email a…@example.com global all on
    ");
    // What the environment has off is off by it alone, whatever was done before.
    let off = [&routes[..], &[("NOTIFICATIONS_SLACK_ENABLED", "false")]].concat();
    let listed = run(db.binary(), &off, "list").await.succeeded();
    let slack = listed.lines().find(|line| line.starts_with("env:slack"));
    insta::assert_snapshot!(cells(slack.expect("the route")), @"env:slack slack – global all disabled: by the environment");
    let shown = job("show env:slack").await.succeeded();
    for part in ["no_service", "in the environment"] {
        assert!(shown.contains(part), "{shown}");
    }
    job("test env:slack").await.succeeded();
    let enabled = job("enable env:slack").await.succeeded();
    let forgotten =
        "notification_delivery_targets WHERE disabled_at IS NULL AND failing_since IS NULL";
    assert_eq!(db.count(forgotten).await, 1);
    let disabled = job("disable env:slack --reason quiet").await.succeeded();
    insta::assert_snapshot!(cancelled(&db).await, @"
    email pending f 1
    env:slack cancelled endpoint_disabled the endpoint was disabled: manually: quiet t 1
    ");
    let again = job("disable env:slack").await.succeeded();
    let mailbox = job("disable env:email:70eacade").await.succeeded();
    insta::assert_snapshot!(enabled + &disabled + &again + &mailbox, @"
    env:slack is enabled.
    env:slack is disabled; 1 pending delivery was cancelled.
    env:slack was disabled already; nothing was changed.
    env:email:70eacade is disabled; 1 pending delivery was cancelled.
    ");
    for line in REFUSED.trim().lines() {
        let (arguments, why) = line.split_once(" => ").expect("two parts");
        let refused = job(arguments).await.failed(1);
        assert!(refused.contains(why), "{arguments}: {refused}");
        assert_redacted(&refused);
    }
    let without = [("NOTIFICATIONS_SLACK_ENABLED", "true")];
    let wrong = run(db.binary(), &without, "list").await.failed(2);
    let why = "NOTIFICATIONS_SLACK_WEBHOOK_URL: not set, and NOTIFICATIONS_SLACK_ENABLED is true";
    assert!(wrong.contains(why), "{wrong}");
}
