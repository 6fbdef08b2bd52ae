//! Targets that ask for time: rates and pauses.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{Stage, answer, report, start};
use crate::channels::receiver::status;
use crate::harness::Delivery;

/// A provider that takes 20 messages a second gets all of them, with little more than one request
/// for each.
#[tokio::test]
async fn a_limited_rate_is_kept_up_with() {
    const PER_SECOND: f64 = 20.0;
    let too_many = r#"{"code":20429,"message":"Too Many Requests","status":429}"#;
    let bucket = Mutex::new((PER_SECOND, Instant::now()));
    let stage = Stage::with(move |_| {
        let mut bucket = bucket.lock().expect("a bucket");
        let (left, since) = *bucket;
        let left = (left + since.elapsed().as_secs_f64() * PER_SECOND).min(PER_SECOND);
        *bucket = ((left - 1.0).max(0.0), Instant::now());
        if left < 1.0 {
            return answer(429, &[], too_many);
        }
        answer(201, &[], r#"{"sid":"SM1","status":"queued"}"#)
    })
    .await;
    let people = stage.db.world().await.people(100).await;
    let phones = "ALTER TABLE profiles ADD COLUMN phone text;
                  GRANT SELECT (phone) ON profiles TO PUBLIC;
                  UPDATE profiles SET phone = '+49151' || 1000000 + n.number
                    FROM (SELECT id, row_number() OVER () AS number FROM profiles) AS n WHERE n.id = profiles.id";
    stage.db.execute(phones).await;
    for person in people {
        let message = Delivery::sms(person).says("Spot price");
        stage.db.delivery(message).await;
    }
    let summary = report(&mut stage.texting()).await;
    assert_eq!(summary["delivered"], 100, "{summary}");
    let requests = stage.outside.count();
    assert!(requests <= 150, "{requests}");
    let charged = "SELECT DISTINCT attempts FROM notification_deliveries";
    assert_eq!(stage.db.texts(charged).await, ["1"]);
}

#[tokio::test]
async fn a_target_that_throttles_is_asked_less_and_less_and_loses_nothing() {
    let stage = Stage::with(|_| answer(429, &[("retry-after", "0")], r#"{"retry_after":0}"#)).await;
    let room = stage.endpoint("discord", "room").await;
    stage.tell("discord", room, &["one"]).await;
    // The first day is that of its attempts, however long it waited before.
    let waited = "UPDATE notification_deliveries SET created_at = now() - interval '30 hours'";
    stage.db.execute(waited).await;
    let summary = report(stage.bare().args(["--max-runtime", "2500ms"])).await;
    assert_eq!(summary["dead"], 0, "{summary}");
    // One at once, one a second later; the next would be due two seconds after that.
    assert_eq!(stage.outside.count(), 2);
    assert_eq!(stage.target().await, "failures=0 throttled=2 paused");
    assert_eq!(stage.deliveries().await.split(' ').nth(2), Some("0"));
}

/// In both forms: the target is left alone for that long, and others are served. Only a failure is
/// charged as an attempt.
#[tokio::test]
async fn a_target_that_asks_for_a_pause_gets_it_and_others_go_on() {
    let in_90_minutes: DateTime<Utc> =
        (std::time::SystemTime::now() + Duration::from_mins(90)).into();
    let date = in_90_minutes
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let stage = Stage::with(move |request| match request.path.as_str() {
        "/throttled" => answer(429, &[("retry-after", &date)], "slow down"),
        "/busy" => answer(503, &[("retry-after", "7200")], "slow down"),
        _ => status(204),
    })
    .await;
    for name in ["throttled", "busy", "other"] {
        let hook = stage.endpoint("webhook", name).await;
        stage.db.queue(hook, 3).await;
    }
    let ended = start(stage.bare().args(["--per-target", "1"])).end().await;
    let report = ended.report();
    assert_eq!(super::counts_of(&report), "delivered=3 retried=2");
    let rows = "SELECT concat_ws(' ', e.name, string_agg(concat_ws('/', d.status, d.attempts), ' ' ORDER BY d.id),
                        round(extract(epoch FROM t.paused_until - now()) / 600) * 10 || ' minutes', max(d.reason))
                   FROM notification_deliveries d
                   JOIN notification_endpoints e ON e.id = d.endpoint_id
                   LEFT JOIN notification_delivery_targets t ON t.target = d.target
                  GROUP BY e.name, t.paused_until ORDER BY e.name";
    insta::assert_snapshot!(stage.db.texts(rows).await.join("\n"), @"
    busy pending/1 pending/0 pending/0 120 minutes webhook answered 503 Service Unavailable
    other delivered/1 delivered/1 delivered/1
    throttled pending/0 pending/0 pending/0 90 minutes webhook answered 429 Too Many Requests
    ");
    let log = "SELECT concat_ws(' ', attempt, outcome, status, answer) FROM notification_delivery_attempts WHERE outcome <> 'delivered' ORDER BY status";
    assert_eq!(
        stage.db.texts(log).await,
        ["1 retry 429 slow down", "1 retry 503 slow down"]
    );
    // And so it stays with the next run, which says why.
    let printed = super::prints(&mut stage.bare()).await;
    let paused = "3 messages are waiting: throttled is paused for another 1h";
    assert!(printed.contains(paused), "{printed}");
    let printed = stage.dry_run(stage.bare()).await;
    let paused = "would wait: busy is paused for another";
    assert!(printed.contains(paused), "{printed}");
    assert_eq!(stage.outside.count(), 5);
}
