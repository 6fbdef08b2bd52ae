//! What the job does not need takes a variable.

use notify_fan_out::seed::{Size, seed};
use notify_fan_out::unsubscribe::{
    UnsubscribeOutcome, UnsubscribeRequest, UnsubscribeScope, apply,
};

use super::{NOTHING, Role};
use crate::harness::{RunCommand as _, TestDatabase, binary_at, database_at};

#[tokio::test]
async fn deleting_takes_a_variable() {
    let db = TestDatabase::new().await;
    let (role, owner) = (Role::new(&db, "job"), db.superuser_url());
    role.granted(&owner, &[]);
    let seeded = seed(&database_at(&owner), Size::Small, false).await;
    seeded.expect("seeded");
    db.run().await;
    db.execute(
        "UPDATE notification_processing SET completed_at = now() - interval '60 days';
         UPDATE notifications SET read_at = now() - interval '60 days';
         UPDATE pending_emails SET status = 'sent', processed_at = now() - interval '60 days';
         INSERT INTO notification_deliveries (channel, target, recipient, event_type, status, finished_at)
         VALUES ('slack', 'env:slack', 'env:slack', 'x', 'delivered', now() - interval '60 days');
         INSERT INTO notification_delivery_attempts (delivery_id, attempt, transport, started_at, outcome)
         SELECT id, 1, 'slack', now(), 'delivered' FROM notification_deliveries;
         INSERT INTO notification_delivery_guards (guard, delivery_key, until)
         VALUES ('x', gen_random_uuid(), now() - interval '1 day')",
    )
    .await;
    let prune = |more: &[&str]| {
        let mut command = binary_at(&role.url);
        command.args(["prune", "--older-than", "30d"]).args(more);
        command
    };
    let advice = |more: &[&str]| {
        let error = prune(more).fails(1);
        let (_, advice) = error.split_once("; as ").expect("advice");
        advice.trim_end().replace(&role.name, "ROLE")
    };
    insta::assert_snapshot!(advice(&[]), @"the tables' owner: psql -d DATABASE -v role='ROLE' -v prune=1 -f scripts/grants.sql");
    role.granted(&owner, &["prune=1"]);
    prune(&[]).prints();
    for table in [
        "notifications",
        "pending_emails",
        "notification_deliveries",
        "notification_delivery_attempts",
        "notification_delivery_guards",
        "notification_processing",
    ] {
        assert_eq!(db.count(table).await, 0, "{table}");
    }
    assert_eq!(db.count("domain_events").await, 16);
    insta::assert_snapshot!(advice(&["--events"]), @"the tables' owner: psql -d DATABASE -v role='ROLE' -v prune=events -f scripts/grants.sql");
    role.granted(&owner, &["prune=events"]);
    prune(&["--events"]).prints();
    for table in ["domain_events", "notification_pruned"] {
        assert_eq!(db.count(table).await, 0, "{table}");
    }
    let refused = role.try_granted(&owner, &["prune=maybe"]);
    let error = refused.expect_err("refused");
    assert!(error.contains("prune must be 1 or events"), "{error}");
}

#[tokio::test]
async fn unsubscribing_takes_a_variable() {
    let db = TestDatabase::new().await;
    let bo = db.world().await.user("Bo").await;
    db.execute(
        "ALTER TABLE user_notification_preferences ADD COLUMN id bigserial;
         ALTER TABLE user_notification_preferences ENABLE ROW LEVEL SECURITY",
    )
    .await;
    let (role, owner) = (Role::new(&db, "job"), db.superuser_url());
    let muted = async || {
        let session = database_at(&role.url).connect().await;
        let request = UnsubscribeRequest {
            user_id: bo,
            scope: UnsubscribeScope::All,
        };
        apply(&mut session.expect("a connection"), &request)
            .await
            .ok()
    };
    role.granted(&owner, &[]);
    let before = role.rights(&db).await;
    assert_eq!(muted().await, None);
    role.granted(&owner, &["unsubscribe=1"]);
    assert_eq!(muted().await, Some(UnsubscribeOutcome::Unsubscribed));
    assert_eq!(muted().await, Some(UnsubscribeOutcome::AlreadyUnsubscribed));
    insta::assert_snapshot!(role.rights_since(&db, &before).await, @"
    user_notification_preferences INSERT (channel, event_type, scope_id, scope_type, status, user_id), SELECT, UPDATE (status)
    user_notification_preferences_id_seq USAGE
    ");
    // Each is used.
    let gone = "DELETE FROM user_notification_preferences";
    let other = "UPDATE user_notification_preferences SET status = 'digest'";
    for (right, row) in [
        ("INSERT (status) ON user_notification_preferences", gone),
        ("UPDATE (status) ON user_notification_preferences", other),
        (
            "USAGE ON SEQUENCE user_notification_preferences_id_seq",
            gone,
        ),
    ] {
        db.execute(format!("{row}; REVOKE {right} FROM {}", role.name))
            .await;
        assert_eq!(muted().await, None, "{right} is not needed");
        db.execute(format!("GRANT {right} TO {}", role.name)).await;
        assert_eq!(muted().await, Some(UnsubscribeOutcome::Unsubscribed));
    }
    assert_eq!(role.problems().await, NOTHING);
}

#[tokio::test]
async fn keeping_endpoints_takes_a_variable() {
    let db = TestDatabase::new().await;
    let (role, owner) = (Role::new(&db, "job"), db.superuser_url());
    db.execute("ALTER TABLE notification_endpoints ENABLE ROW LEVEL SECURITY")
        .await;
    let endpoint = |arguments: &str| {
        let mut command = binary_at(&role.url);
        command.env("NOTIFY_SECRET_KEY", "5a".repeat(32));
        command.arg("endpoint").args(arguments.split(' '));
        command
    };
    let add = "add ops --channel webhook --url https://example.com";
    role.granted(&owner, &[]);
    let before = role.rights(&db).await;
    endpoint(add).fails(1);
    role.granted(&owner, &["endpoints=1"]);
    insta::assert_snapshot!(role.rights_since(&db, &before).await, @"
    notification_delivery_targets DELETE, INSERT, SELECT, UPDATE
    notification_endpoints DELETE, INSERT (channel, event_types, id, name, scope, scope_id, settings, target), SELECT (channel, created_at, disabled_at, disabled_reason, enabled, event_types, id, name, scope, scope_id, settings, target, updated_at), UPDATE (disabled_at, disabled_reason, enabled, settings, updated_at)
    ");
    let each = [
        add,
        "rotate-secret ops",
        "disable ops",
        "enable ops",
        "rotate-key",
        "remove ops",
    ];
    for arguments in each {
        endpoint(arguments).prints();
    }
    // Each is used.
    for right in [
        "INSERT (settings) ON notification_endpoints",
        "UPDATE (settings) ON notification_endpoints",
        "DELETE ON notification_endpoints",
        "DELETE ON notification_delivery_targets",
    ] {
        db.execute(format!("REVOKE {right} FROM {}", role.name))
            .await;
        let succeeds = |arguments| endpoint(arguments).status().expect("it").success();
        let failed = each.into_iter().filter(|arguments| !succeeds(arguments));
        assert!(failed.count() > 0, "{right} is not needed");
        db.execute(format!(
            "DELETE FROM notification_endpoints; GRANT {right} TO {}",
            role.name
        ))
        .await;
    }
    assert_eq!(role.problems().await, NOTHING);
}
