//! Answers that are not a plain yes.

use std::time::{Duration, Instant};

use super::{DEADLINE, deliver, endpoint, queue};
use crate::channels::receiver::{Receiver, Reply, answer, status};
use crate::harness::{TestDatabase, Worker};

/// Both forms of Retry-After: the target is left alone for that long, the attempt is not charged, and
/// the other targets are served.
#[tokio::test]
async fn come_again_later() {
    let db = TestDatabase::new().await;
    let date: chrono::DateTime<chrono::Utc> =
        (std::time::SystemTime::now() + Duration::from_mins(90)).into();
    let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let receiver = Receiver::start(move |request| match request.path.as_str() {
        "/seconds" => answer(429, &[("retry-after", "7200")], "slow down"),
        "/date" => answer(429, &[("retry-after", &date)], "slow down"),
        _ => status(204),
    })
    .await;
    for name in ["seconds", "date", "other"] {
        let url = format!("{}{name}", receiver.base());
        let id = endpoint(&db, name, "webhook", &url).await;
        queue(&db, id, 3).await;
    }
    let mut command = deliver(&db);
    let ended = Worker::start(command.args(["--per-target", "1"]))
        .end()
        .await;
    assert!(ended.status.success(), "{ended:?}");
    let report = ended.report();
    assert_eq!(
        (&report["delivered"], &report["retried"]),
        (&3.into(), &2.into())
    );
    let rows = db
        .texts(
            "SELECT concat_ws(' ', e.name, string_agg(concat_ws('/', d.status, d.attempts), ' ' ORDER BY d.id),
                        'paused for', round(extract(epoch FROM t.paused_until - now()) / 600) * 10, 'min',
                        min(round(extract(epoch FROM d.next_attempt_at - now()) / 600) * 10)
                            FILTER (WHERE d.code IS NOT NULL OR d.reason IS NOT NULL),
                        max(d.reason))
               FROM notification_deliveries d
               JOIN notification_endpoints e ON e.id = d.endpoint_id
               LEFT JOIN notification_delivery_targets t ON t.target = d.target
              GROUP BY e.name, t.paused_until
              ORDER BY e.name",
        )
        .await;
    // A later look at the one that was tried, by up to a tenth; the others wait for the target.
    for (row, (start, end)) in rows.iter().zip([
        (
            "date pending/0 pending/0 pending/0 paused for 90 min ",
            "webhook answered 429 Too Many Requests",
        ),
        (
            "other delivered/1 delivered/1 delivered/1 paused for min",
            "",
        ),
        (
            "seconds pending/0 pending/0 pending/0 paused for 120 min ",
            "webhook answered 429 Too Many Requests",
        ),
    ]) {
        assert!(row.starts_with(start) && row.ends_with(end), "{rows:#?}");
    }
    let log = db
        .texts("SELECT concat_ws(' ', attempt, outcome, status, answer) FROM notification_delivery_attempts WHERE outcome <> 'delivered'")
        .await;
    assert_eq!(log, ["1 retry 429 slow down"; 2]);
    // And so it stays with the next run.
    let report = Worker::start(&mut deliver(&db)).end().await.report();
    assert_eq!(
        (&report["delivered"], &report["retried"]),
        (&0.into(), &0.into())
    );
    assert_eq!(receiver.count(), 5);
}

/// Receivers that never come to an end cost a bounded time and bounded memory, and hold up nobody.
#[tokio::test]
async fn answers_without_an_end() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/drip" => Reply::Drip(503),
        "/before" => Reply::DripBefore,
        "/endless" => Reply::Endless(503),
        "/silence" => Reply::Silence,
        _ => status(204),
    })
    .await;
    let names = ["drip", "before", "endless", "silence"];
    for name in names.into_iter().chain(["other"]) {
        let url = format!("{}{name}", receiver.base());
        let id = endpoint(&db, name, "webhook", &url).await;
        queue(&db, id, 4).await;
    }
    let began = Instant::now();
    let mut command = deliver(&db);
    command.env("NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE", "1h");
    let mut worker = Worker::start(&mut command);
    let mut peak = 0;
    let (mut others, delivered) = (None, "notification_deliveries WHERE status = 'delivered'");
    while !worker.has_ended() {
        peak = worker.peak_bytes().unwrap_or(0).max(peak);
        if others.is_none() && db.count(delivered).await == 4 {
            others = Some(began.elapsed());
        }
        assert!(began.elapsed() < DEADLINE, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (others, all) = (others.expect("others"), began.elapsed());
    let ended = worker.end().await;
    assert!(ended.status.success(), "{ended:?}");
    // 15 s is an attempt's limit. All were in flight at once, and what was done with was recorded.
    assert!(others < Duration::from_secs(10), "{others:?}");
    assert!(all < Duration::from_secs(22), "{all:?}");
    assert!(peak > 0 && peak < 64 * 1_024 * 1_024, "{peak} bytes");
    assert!(
        receiver.written() < 4 * 16 * 1_024 * 1_024,
        "{}",
        receiver.written()
    );
    let rows = db
        .texts(
            "SELECT DISTINCT concat_ws(' ', e.name, d.status, d.attempts, a.outcome, a.status, a.error, left(a.answer, 3),
                        octet_length(a.answer) <= 2048)
               FROM notification_deliveries d
               JOIN notification_endpoints e ON e.id = d.endpoint_id
               JOIN notification_delivery_attempts a ON a.delivery_id = d.id
              ORDER BY 1",
        )
        .await;
    insta::assert_snapshot!(rows.join("\n"), @"
    before pending 1 uncertain no answer within 15s
    drip pending 1 retry 503 webhook answered 503 Service Unavailable ... t
    endless pending 1 retry 503 webhook answered 503 Service Unavailable xxx t
    other delivered 1 delivered 204
    silence pending 1 uncertain no answer within 15s
    ");
}
