//! The same alert and the same content are sent once, in whatever batches and by however many workers.

use std::time::Duration;

use notify_fan_out::fan_out::FanOutSettings;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::{alert, queued, with_endpoints};
use crate::harness::{BO, Summary as _, Worker};

#[tokio::test]
async fn alert_is_sent_once_a_day() {
    let (db, mut world) = with_endpoints([("slack", "ops")]).await;
    let sms = json!({"message": "one", "channels": {"inapp": true, "email": true, "slack": true, "sms": true}});
    alert(&mut world, "a", sms).await;
    // In the same batch, in a later run, and on another day.
    alert(&mut world, "a", json!({"message": "two"})).await;
    db.run().await;
    alert(&mut world, "a", json!({"message": "three"})).await;
    let report = db.run().await;
    insta::assert_snapshot!(report.summary(), @"events=1 suppressed=2");
    let yesterday = json!({"alert_id": "a", "user_id": BO, "message": "four"});
    let event = world.event("alert_triggered").hours_ago(24);
    event.payload(yesterday).await;
    let day = FanOutSettings {
        max_event_age: Duration::from_hours(48),
        ..db.settings()
    };
    db.run_with(&day).await;
    insta::assert_snapshot!(queued(&db).await, @"
    1 alert_triggered slack to ops: pending
    1 alert_triggered sms to user:BO: pending
    2 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    3 alert_triggered slack to ops: cancelled (duplicate: this alert was queued that day already)
    4 alert_triggered slack to ops: pending
    ");
    insta::assert_snapshot!(db.titles().await, @"
    Bo by mail, immediate: Alert a was triggered
    Bo by mail, immediate: Alert a was triggered
    Bo: Alert a was triggered

    four
    Bo: Alert a was triggered

    one
    ");
    assert_eq!(db.standings().await, "completed=4");
}

#[tokio::test]
async fn the_same_content_is_sent_once_in_24_hours() {
    let (db, mut world) = with_endpoints([("slack", "ops"), ("sms", "phone")]).await;
    let hot = json!({"message": "Hot", "condition_json": {"above": 90}});
    alert(&mut world, "a", hot.clone()).await;
    db.run().await;
    alert(&mut world, "b", hot.clone()).await;
    // Another recipient was not notified.
    db.endpoint("discord", "later").await;
    db.run().await;
    insta::assert_snapshot!(queued(&db).await, @"
    1 alert_triggered slack to ops: pending
    1 alert_triggered sms to phone: pending
    2 alert_triggered discord to later: pending
    2 alert_triggered slack to ops: cancelled (duplicate: same content within 24 hours)
    2 alert_triggered sms to phone: cancelled (duplicate: same content within 24 hours)
    ");
    // A day later it may be sent again, once.
    let content = "guard LIKE '%content:%'";
    let later = format!("UPDATE notification_delivery_guards SET until = now() WHERE {content}");
    db.execute(later).await;
    alert(&mut world, "c", hot.clone()).await;
    alert(&mut world, "d", hot).await;
    let report = db.run().await;
    assert_eq!((report.deliveries, report.suppressed), (3, 3));
    let keys = format!(
        "SELECT count(DISTINCT delivery_key) || ' of ' || count(*) FROM notification_delivery_guards WHERE until > now() AND {content}"
    );
    assert_eq!(db.text(keys).await, "3 of 3");
}

/// Together they are sent as they would be one by one, and as a dry run says: what is suppressed, for one, takes
/// no dedup key, and suppresses nothing itself.
#[tokio::test]
async fn batch_sends_what_its_events_would_send_alone() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (db, mut world) = with_endpoints([("slack", "ops"), ("webhook", "program")]).await;
    for _ in 0..80 {
        let [alert_id, message, choice] = [9, 12, 4].map(|of| random.random_range(0..of));
        let more = match choice {
            0 => json!({"message": message, "channels": {"slack": true}}),
            1 => json!({"message": format!("{message}"), "channels": {"webhook": true}}),
            _ => json!({"message": format!("{message}")}),
        };
        alert(&mut world, &format!("{alert_id}"), more).await;
    }
    drop(world);
    let alone = db.twin().await;
    let (_, dry) = db.dry_run("");
    let report = db.run().await;
    for (count, of_run) in [
        ("deliveries", report.deliveries),
        ("suppressed", report.suppressed),
    ] {
        assert_eq!(dry["would"][count], of_run, "{dry}");
    }
    alone.run_in_batches(1).await;
    let queued = "SELECT concat_ws(' ', event_id, recipient, status, reason) AS queued
        FROM notification_deliveries ORDER BY queued";
    assert_eq!(db.texts(queued).await, alone.texts(queued).await);
}

#[tokio::test]
async fn concurrent_workers_send_it_once() {
    let (db, mut world) = with_endpoints([("slack", "ops"), ("webhook", "program")]).await;
    for no in 0..300 {
        let more = json!({"message": format!("{}", no % 3)});
        alert(&mut world, &format!("a-{}", no % 7), more).await;
    }
    let workers = [(); 3].map(|()| Worker::start(db.binary().args(["--batch-size", "7"])));
    for worker in workers {
        worker.ends(0).await;
    }
    assert_eq!(db.standings().await, "completed=300");
    // Three messages in all, each of another alert.
    let shown = "SELECT channel || ' ' || count(*) || ' ' || count(DISTINCT message ->> 'text') || ' ' || count(DISTINCT message -> 'data' ->> 'alert_id')
                  FROM notification_deliveries WHERE status = 'pending' GROUP BY channel ORDER BY 1";
    assert_eq!(db.texts(shown).await, ["slack 3 3 3", "webhook 3 3 3"]);
    // People are notified of each alert.
    for (table, count) in [
        ("notification_deliveries", 600),
        ("notification_delivery_guards", 12),
        ("notifications", 7),
        ("pending_emails", 7),
    ] {
        assert_eq!(db.count(table).await, count, "{table}");
    }
}
