//! Disabled, enabled and removed endpoints, and routes of the environment.

use uuid::Uuid;

use super::{HIDDEN, LOCAL, endpoint, json, run};
use crate::channels::receiver::{Receiver, answer};
use crate::harness::{TestDatabase, complaint};

/// Deliveries that wait for an endpoint, its route or somebody else.
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

async fn cancelled(db: &TestDatabase<'_>) -> Vec<String> {
    db.texts(
        "SELECT concat_ws(' ', coalesce(e.name, d.target), d.status, d.code, d.reason, d.finished_at IS NOT NULL, count(*))
           FROM notification_deliveries d LEFT JOIN notification_endpoints e ON e.id = d.endpoint_id
          WHERE d.status IN ('pending', 'cancelled') GROUP BY e.name, d.target, d.status, d.code, d.reason, d.finished_at IS NOT NULL ORDER BY 1",
    )
    .await
}

#[tokio::test]
async fn what_waits_for_a_disabled_endpoint_is_cancelled() {
    let db = TestDatabase::new().await;
    for (name, channel, to) in [
        ("ops", "webhook", "https://example.com/x"),
        ("other", "slack", "https://hooks.slack.com/x"),
        ("crew", "email", "ada.okafor@example.com"),
    ] {
        let option = if channel == "email" { "--to" } else { "--url" };
        endpoint(&db, &[], &["add", name, "--channel", channel, option, to])
            .await
            .succeeded();
        queue(&db, name, 2).await;
    }
    // The job's role may switch, but neither add nor remove.
    let job = async |arguments: &[&str]| run(db.binary(), &[], arguments).await;
    let printed = job(&["disable", "ops", "--reason", "moving\nrooms"])
        .await
        .succeeded();
    insta::assert_snapshot!(printed, @"ops is disabled; 2 pending deliveries were cancelled.");
    insta::assert_snapshot!(job(&["disable", "ops"]).await.succeeded(), @"ops was disabled already; nothing was changed.");
    insta::assert_snapshot!(job(&["disable", "crew"]).await.succeeded(), @"crew is disabled; 2 pending deliveries were cancelled.");
    insta::assert_snapshot!(cancelled(&db).await.join("\n"), @"
    crew cancelled endpoint_disabled the endpoint was disabled: manually t 2
    ops cancelled endpoint_disabled the endpoint was disabled: manually: moving rooms t 2
    other pending f 2
    ");
    let listed = json(&job(&["list", "--format", "json"]).await.succeeded());
    let reasons: Vec<_> = listed["endpoints"]
        .as_array()
        .expect("endpoints")
        .iter()
        .map(|one| (&one["name"], &one["disabled_reason"]))
        .collect();
    assert_eq!(
        format!("{reasons:?}"),
        r#"[(String("crew"), String("manually")), (String("ops"), String("manually: moving rooms")), (String("other"), Null)]"#
    );

    // Enabled again, it has no past that would disable it at the first failure.
    db.execute(
        "INSERT INTO notification_delivery_targets (target, failing_since, failures, last_error)
         SELECT 'endpoint:' || id, now() - interval '9 days', 40, 'x' FROM notification_endpoints",
    )
    .await;
    insta::assert_snapshot!(job(&["enable", "ops"]).await.succeeded(), @"ops is enabled.");
    insta::assert_snapshot!(job(&["enable", "ops"]).await.succeeded(), @"ops was enabled already; nothing was changed.");
    assert_eq!(
        db.count("notification_delivery_targets WHERE failing_since IS NULL AND failures = 0")
            .await,
        1
    );
    assert_eq!(db.count("notification_endpoints WHERE enabled AND disabled_reason IS NULL AND disabled_at IS NULL").await, 2);

    queue(&db, "ops", 3).await;
    let printed = job(&["remove", "ops"]).await.failed(1);
    assert!(
        printed.contains(
            "psql -d DATABASE -v role='notify_fan_out' -v endpoints=1 -f scripts/grants.sql"
        ),
        "{printed}"
    );
    let printed = endpoint(&db, &[], &["remove", "ops"]).await.succeeded();
    insta::assert_snapshot!(printed, @"ops is removed; 3 pending deliveries were cancelled.");
    assert_eq!(
        db.count("notification_deliveries WHERE code = 'endpoint_removed'")
            .await,
        3
    );
    assert_eq!(db.count("notification_delivery_targets").await, 2);
    let printed = endpoint(&db, &[], &["remove", "ops"]).await.failed(1);
    insta::assert_snapshot!(complaint(&printed), @r#"no endpoint is named "ops"; there are other, crew"#);
}

#[tokio::test]
async fn an_endpoint_is_known_by_its_identifier_too() {
    let db = TestDatabase::new().await;
    let webhook = ["--channel", "webhook", "--url", "https://example.com/x"];
    let add = async |name: &str| {
        let add = [&["add", name][..], &webhook].concat();
        endpoint(&db, &[], &add).await.succeeded();
        db.text(&format!(
            "SELECT id::text FROM notification_endpoints WHERE name = '{name}'"
        ))
        .await
    };
    let id = add("ops").await;
    let target = format!("endpoint:{id}");
    let cli = async |arguments: &[&str]| endpoint(&db, &[], arguments).await;
    let shown = json(&cli(&["show", &id, "--format", "json"]).await.succeeded());
    assert_eq!(shown["name"], "ops");
    insta::assert_snapshot!(cli(&["disable", &target]).await.succeeded(), @"ops is disabled.");
    insta::assert_snapshot!(cli(&["enable", &id.to_uppercase()]).await.succeeded(), @"ops is enabled.");
    let rotated = cli(&["rotate-secret", &target]).await.succeeded();
    assert!(rotated.contains("New signing secret of ops"), "{rotated}");
    let nobody = Uuid::nil().to_string();
    insta::assert_snapshot!(complaint(&cli(&["show", &nobody]).await.failed(1)), @r#"no endpoint is named "00000000-0000-0000-0000-000000000000"; there are ops"#);
    // A name is a name, even if it is another's identifier.
    add(&id).await;
    insta::assert_snapshot!(cli(&["remove", &target]).await.succeeded(), @"ops is removed.");
    assert_eq!(db.count("notification_endpoints").await, 1);
    let removed = cli(&["remove", &id]).await.succeeded();
    assert_eq!(removed.trim_end(), format!("{id} is removed."));
}

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
    let job = async |arguments: &[&str]| run(db.binary(), &routes, arguments).await;
    // Its answer said that it is gone.
    db.execute(
        "INSERT INTO notification_delivery_targets (target, disabled_reason, disabled_at, failing_since)
         VALUES ('env:slack', 'no_service', '2026-11-21 10:00Z', now());
         INSERT INTO notification_deliveries (channel, target, recipient, event_type)
         VALUES ('slack', 'env:slack', 'env:slack', 'tenant_created'), ('email', 'email', 'env:email:70eacade', 'tenant_created')",
    )
    .await;
    let listed = job(&["list"]).await.succeeded();
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
    let listed = run(db.binary(), &off, &["list"]).await.succeeded();
    let slack = listed.lines().find(|line| line.starts_with("env:slack"));
    insta::assert_snapshot!(cells(slack.expect("the route")), @"env:slack slack – global all disabled: by the environment");
    let shown = job(&["show", "env:slack"]).await.succeeded();
    assert!(
        shown.contains("no_service") && shown.contains("in the environment"),
        "{shown}"
    );
    job(&["test", "env:slack"]).await.succeeded();
    insta::assert_snapshot!(job(&["enable", "env:slack"]).await.succeeded(), @"env:slack is enabled.");
    assert_eq!(
        db.count(
            "notification_delivery_targets WHERE disabled_at IS NULL AND failing_since IS NULL"
        )
        .await,
        1
    );
    insta::assert_snapshot!(job(&["disable", "env:slack", "--reason", "quiet"]).await.succeeded(), @"env:slack is disabled; 1 pending delivery was cancelled.");
    insta::assert_snapshot!(cancelled(&db).await.join("\n"), @"
    email pending f 1
    env:slack cancelled endpoint_disabled the endpoint was disabled: manually: quiet t 1
    ");
    insta::assert_snapshot!(job(&["disable", "env:slack"]).await.succeeded(), @"env:slack was disabled already; nothing was changed.");
    insta::assert_snapshot!(job(&["disable", "env:email:70eacade"]).await.succeeded(), @"env:email:70eacade is disabled; 1 pending delivery was cancelled.");
    for (arguments, printed) in [
        (
            &["enable", "env:discord"][..],
            "env:discord is switched off in the environment, by NOTIFICATIONS_DISCORD_ENABLED",
        ),
        (
            &["test", "env:discord"],
            "env:discord is switched off in the environment",
        ),
        (
            &["remove", "env:slack"],
            "env:slack is a route of the environment; take out NOTIFICATIONS_SLACK_WEBHOOK_URL there",
        ),
        (
            &["enable", "env:sms"],
            "no endpoint is named \"env:sms\"; there are env:slack, env:discord, env:email:70eacade",
        ),
        (
            &["rotate-secret", "env:slack"],
            "env:slack is a route of the environment",
        ),
    ] {
        let refused = job(arguments).await.failed(1);
        assert!(refused.contains(printed), "{arguments:?}: {refused}");
        assert!(
            !HIDDEN.iter().any(|hidden| refused.contains(hidden)),
            "{refused}"
        );
    }
    let wrong = run(
        db.binary(),
        &[("NOTIFICATIONS_SLACK_ENABLED", "true")],
        &["list"],
    )
    .await
    .failed(2);
    assert!(
        wrong.contains(
            "NOTIFICATIONS_SLACK_WEBHOOK_URL: not set, and NOTIFICATIONS_SLACK_ENABLED is true"
        ),
        "{wrong}"
    );
}
