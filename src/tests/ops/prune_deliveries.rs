//! `prune` deletes finished deliveries and what belongs to them.

use super::prune;
use crate::harness::{Delivery, TestDatabase};

#[tokio::test]
async fn only_what_is_finished_and_old_is_pruned() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let old = 31 * 24;
    let route = || Delivery::route("slack");
    let mut kept = Vec::new();
    for status in ["dead", "uncertain"] {
        kept.push(db.delivery(route().ended(status, old, "503")).await);
    }
    for status in ["pending", "sending"] {
        let aged = route()
            .status(status, 1)
            .with("created_at", "now() - interval '1 year'");
        kept.push(db.delivery(aged).await);
    }
    for status in ["delivered", "cancelled"] {
        kept.push(db.delivery(route().ended(status, 24, "")).await);
        let gone = db.delivery(route().ended(status, old, "")).await;
        db.attempt(gone, 1, "retry", "503").await;
        db.attempt(gone, 2, "delivered", "").await;
        db.attempt(kept[0], 1, "permanent", "404").await;
    }
    // A digest of a window that is not over for long: another must not be sent in it.
    let digest = |window: &str| {
        Delivery::mail(bo)
            .event_type("digest")
            .with("digest_window", window)
            .ended("delivered", old, "")
    };
    kept.push(db.delivery(digest("now() - interval '1 day'")).await);
    db.delivery(digest("now() - interval '31 days'")).await;
    // With a mail that says it waits.
    let one = world.event("invite_accepted").await;
    let other = world.event("invite_accepted").await;
    let delivered = Delivery::mail(bo).ended("delivered", old, "");
    let waits = db.delivery(delivered.clone()).await;
    db.queued_mail(one, bo, "processing", Some(waits)).await;
    kept.push(waits);
    // Of an event that may be tried again: that it was sent is known from it alone.
    let again = db.delivery(delivered.clone().of(other)).await;
    kept.push(again);
    // Of an event that is gone.
    db.delivery(delivered.of(9_999)).await;
    db.execute(
        "INSERT INTO notification_delivery_guards (guard, delivery_key, until)
         VALUES ('over', gen_random_uuid(), now() - interval '1 second'),
                ('holds', gen_random_uuid(), now() + interval '1 hour')",
    )
    .await;

    let report = prune(&db, false).await;
    assert_eq!(report.deliveries_count, 4);
    assert_eq!(report.attempts_count, 4);
    assert_eq!(report.dedup_keys_count, 1);
    let left = "SELECT id FROM notification_deliveries ORDER BY id";
    kept.sort_unstable();
    let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
    assert_eq!(db.texts(left).await, kept);
    assert_eq!(db.count("notification_delivery_attempts").await, 2);
    let keys = "SELECT guard FROM notification_delivery_guards";
    assert_eq!(db.texts(keys).await, ["holds"]);

    db.execute(
        "UPDATE notification_processing SET processing_status = 'completed', completed_at = now()",
    )
    .await;
    assert_eq!(prune(&db, false).await.deliveries_count, 1);
    let again = format!("notification_deliveries WHERE id = {again}");
    assert_eq!(db.count(&again).await, 0);
}

#[tokio::test]
async fn an_event_stays_as_long_as_one_of_its_deliveries() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let bo = world.user("Bo").await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(world.event("invite_accepted").await);
    }
    db.execute(
        "UPDATE notification_processing SET processing_status = 'completed', completed_at = now() - interval '60 days'",
    )
    .await;
    for (event, delivery) in events.iter().zip([
        Delivery::mail(bo).ended("delivered", 1_440, ""),
        Delivery::mail(bo).ended("dead", 1_440, "550"),
        Delivery::mail(bo).ended("delivered", 24, ""),
    ]) {
        db.delivery(delivery.of(*event)).await;
    }
    // A mail that was not to be sent is done; one that failed is not.
    db.queued_mail(events[3], bo, "failed", None).await;
    let report = prune(&db, true).await;
    assert_eq!(report.events_count, 1);
    assert_eq!((report.deliveries_count, report.emails_count), (1, 0));
    db.execute(
        "UPDATE pending_emails SET status_reason = 'cancelled: muted', created_at = now() - interval '60 days'",
    )
    .await;
    let report = prune(&db, true).await;
    assert_eq!((report.events_count, report.emails_count), (1, 1));
    let left = db.texts("SELECT id FROM domain_events ORDER BY id").await;
    assert_eq!(left, [events[1].to_string(), events[2].to_string()]);
}

#[tokio::test]
async fn more_than_a_batch_is_pruned_though_many_stay() {
    let db = TestDatabase::new().await;
    // All at the same moment, and every other one of an event that may be tried again.
    db.execute(
        "INSERT INTO domain_events (event_type) VALUES ('a');
         INSERT INTO notification_deliveries (channel, target, recipient, event_id, event_type, status, finished_at)
         SELECT 'webhook', 'x', 'x' || n, CASE WHEN n % 2 = 0 THEN 1 END, 'a', 'delivered', timestamptz '2020-01-01'
           FROM generate_series(1, 24000) AS n;
         INSERT INTO notification_delivery_guards (guard, delivery_key, until)
         SELECT n, gen_random_uuid(), now() - interval '1 day' FROM generate_series(1, 12000) AS n",
    )
    .await;
    let report = prune(&db, false).await;
    assert_eq!(
        (report.deliveries_count, report.dedup_keys_count),
        (12_000, 12_000)
    );
    assert_eq!(db.count("notification_deliveries").await, 12_000);
}
