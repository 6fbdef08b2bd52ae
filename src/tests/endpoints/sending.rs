//! Messages to endpoints: where they may go, and what a test of one shows.

use serde_json::Value;

use super::{HIDDEN, LOCAL, NEW, assert_signed, endpoint, json, keyed, settings, shown_secret};
use crate::channels::receiver::{Receiver, answer, status};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_webhook_is_added_reached_and_shown_without_its_secrets() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], "thanks, T0kenOfTheRoom")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = folder.path().join("url");
    std::fs::write(
        &url,
        format!("{}T0kenOfTheRoom?k=T0kenOfTheRoom\n", receiver.base()),
    )
    .expect("a file");
    let token = folder.path().join("token");
    std::fs::write(&token, "Bearer 0fTheTenant").expect("a file");
    let environment = [&keyed(NEW)[..], &[("LOG_LEVEL", "DEBUG")]].concat();
    let cli = async |arguments: &[&str]| endpoint(&db, &environment, arguments).await;

    let added = cli(&[
        "add",
        "billing",
        "--channel",
        "webhook",
        "--method",
        "PUT",
        "--url",
        &format!("@{}", url.display()),
        "--header",
        &format!("Authorization: @{}", token.display()),
        "--events",
        "payment.failed,node_terminated,payment_failed",
    ])
    .await;
    let log = added.stderr.clone();
    let added = added.succeeded();
    let secret = shown_secret(&added);
    let first = added.lines().next().expect("a line");
    assert_eq!(
        first,
        format!(
            "Added billing: webhook, http://{}/…; scope global; events node_terminated, payment_failed.",
            receiver.address
        )
    );
    let kept = settings(&db, "billing").await;
    assert!(kept.starts_with("enc:v1:"), "{kept}");

    // It is found by its name, redacted wherever it is shown.
    let mut printed = vec![added.replace(secret.reveal().as_str(), ""), log];
    for arguments in [
        &["list"][..],
        &["show", "billing"],
        &["test", "billing"],
        &["disable", "billing"],
        &["enable", "billing"],
        &["rotate-secret", "billing", "--drop-old"],
        &["list", "--format", "json"],
        &["show", "billing", "--format", "json"],
        &["test", "billing", "--format", "json"],
    ] {
        let ran = cli(arguments).await;
        printed.push(ran.stderr.clone());
        printed.push(ran.succeeded());
    }
    printed.extend(
        db.texts("SELECT to_jsonb(e) FROM notification_endpoints AS e")
            .await,
    );
    for text in &printed {
        let secret = secret.reveal();
        for hidden in HIDDEN.into_iter().chain([&secret["whsec_".len()..]]) {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    let shown = cli(&["show", "billing"]).await.succeeded();
    for line in [
        "  method    PUT",
        "  headers   authorization",
        "  secrets   1 signs",
        "  settings  encrypted",
        "  state     on",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }

    let requests = receiver.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            ("PUT", "/T0kenOfTheRoom?k=T0kenOfTheRoom")
        );
        assert_eq!(request.headers["authorization"], "Bearer 0fTheTenant");
        assert_signed(&request, std::slice::from_ref(&secret));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(
            (&body["type"], &body["data"]["endpoint"]),
            (&"endpoint_test".into(), &"billing".into())
        );
        assert_eq!(
            body["data"]["summary"]["title"],
            "Test message of notify-fan-out"
        );
    }
}

#[tokio::test]
async fn chats_get_a_message_each() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| {
        if request.path.contains("/slack/") {
            answer(200, &[], "ok")
        } else {
            answer(200, &[], r#"{"id":"7"}"#)
        }
    })
    .await;
    let environment = [&LOCAL[..], &[("APP_BASE_URL", "https://app.example.com")]].concat();
    for channel in ["slack", "discord"] {
        let url = format!("{}{channel}/T0kenOfTheRoom", receiver.base());
        let added = endpoint(
            &db,
            &environment,
            &["add", channel, "--channel", channel, "--url", &url],
        )
        .await;
        let added = added.succeeded();
        assert!(
            added.contains(&format!("127.0.0.1 is not a host of {channel}")),
            "{added}"
        );
        assert!(
            added.contains("set NOTIFY_SECRET_KEY to encrypt them"),
            "{added}"
        );
        let tested = endpoint(&db, &environment, &["test", channel, "--format", "json"]).await;
        let tested = json(&tested.succeeded());
        assert_eq!(
            (&tested["outcome"], &tested["status"]),
            (&"delivered".into(), &200.into()),
            "{tested}"
        );
    }
    let requests = receiver.requests();
    assert_eq!(requests[1].path, "/discord/T0kenOfTheRoom?wait=true");
    for request in requests {
        let body = String::from_utf8(request.body).expect("UTF-8");
        assert!(
            body.contains("Test message of notify-fan-out")
                && body.contains("https://app.example.com"),
            "{body}"
        );
    }
    // As they are, where there is no key.
    assert!(settings(&db, "slack").await.contains("T0kenOfTheRoom"));
}

#[tokio::test]
async fn a_test_that_fails_says_why_and_changes_nothing() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/gone" => answer(404, &[], "no_service"),
        "/busy" => answer(429, &[("retry-after", "30")], ""),
        "/moved" => answer(302, &[("location", "http://127.0.0.1/")], ""),
        _ => status(500),
    })
    .await;
    for (name, outcome) in [
        ("gone", "permanent"),
        ("busy", "retry"),
        ("moved", "permanent"),
        ("broken", "retry"),
    ] {
        let url = format!("{}{name}", receiver.base());
        endpoint(
            &db,
            &LOCAL,
            &["add", name, "--channel", "slack", "--url", &url],
        )
        .await
        .succeeded();
        let tested = endpoint(&db, &LOCAL, &["test", name, "--format", "json"]).await;
        assert_eq!(tested.code, Some(6), "{tested:?}");
        let tested = json(&tested.stdout);
        assert_eq!(tested["outcome"], outcome, "{tested}");
    }
    let printed = endpoint(&db, &LOCAL, &["test", "gone"]).await.failed(6);
    assert!(
        printed.contains("no_service") && printed.contains("would disable this endpoint"),
        "{printed}"
    );
    assert_eq!(receiver.requests().len(), 5);
    assert_eq!(db.count("notification_endpoints WHERE enabled").await, 4);
    assert_eq!(db.count("notification_delivery_targets").await, 0);
    // Nothing carries these here.
    for (name, channel, to) in [
        ("crew", "email", "ada.okafor@example.com"),
        ("duty", "sms", "+4916098765432"),
    ] {
        let added = endpoint(
            &db,
            &LOCAL,
            &["add", name, "--channel", channel, "--to", to],
        )
        .await
        .succeeded();
        let printed = endpoint(&db, &LOCAL, &["test", name]).await.failed(6);
        assert!(
            printed.contains("is configured (set NOTIFY_") && !printed.contains("in 0s"),
            "{printed}"
        );
        for text in [added, printed] {
            assert!(!HIDDEN.iter().any(|hidden| text.contains(hidden)), "{text}");
        }
    }
}

#[tokio::test]
async fn mailboxes_and_phones_are_tried_by_what_sends_to_them() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/emails" => answer(200, &[], r#"{"id":"4ef9a417"}"#),
        _ => answer(400, &[], r#"{"code":21610,"message":"replied STOP"}"#),
    })
    .await;
    let base = receiver.base();
    let environment = [
        LOCAL[0],
        LOCAL[1],
        ("APP_BASE_URL", "https://app.example.com"),
        ("NOTIFICATIONS_RESEND_API_KEY", "re_T0kenOfTheRoom"),
        ("NOTIFY_RESEND_BASE_URL", &base),
        ("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>"),
        (
            "NOTIFY_TWILIO_ACCOUNT_SID",
            "AC0123456789abcdef0123456789abcdef",
        ),
        ("NOTIFY_TWILIO_AUTH_TOKEN", "T0kenOfTheRoom"),
        ("NOTIFY_TWILIO_FROM", "+15005550006"),
        ("NOTIFY_TWILIO_BASE_URL", &base),
    ];
    for (name, channel, to) in [
        ("crew", "email", "ada.okafor@example.com"),
        ("duty", "sms", "+4916098765432"),
    ] {
        let add = ["add", name, "--channel", channel, "--to", to];
        endpoint(&db, &environment, &add).await.succeeded();
    }
    let id = db
        .text("SELECT id::text FROM notification_endpoints WHERE name = 'crew'")
        .await;
    let crew = format!("endpoint:{id}");
    let mailed = endpoint(&db, &environment, &["test", &crew, "--format", "json"]).await;
    let mailed = json(&mailed.succeeded());
    assert_eq!(
        (&mailed["outcome"], &mailed["transport"], &mailed["name"]),
        (&"delivered".into(), &"resend".into(), &"crew".into())
    );
    let texted = endpoint(&db, &environment, &["test", "duty"])
        .await
        .failed(6);
    assert!(
        texted.contains("21610") && texted.contains("STOP"),
        "{texted}"
    );
    let requests = receiver.requests();
    let mail = String::from_utf8_lossy(&requests[0].body);
    assert!(mail.contains("Test message of notify-fan-out"), "{mail}");
    assert!(
        requests[1].path.ends_with("/Messages.json"),
        "{}",
        requests[1].path
    );
}

#[tokio::test]
async fn this_network_is_out_of_reach_unless_it_is_listed() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let port = receiver.address.port();
    let plain = LOCAL[1];
    // As the address is written.
    for url in [
        "https://127.0.0.1/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest",
    ] {
        let printed = endpoint(
            &db,
            &[],
            &["add", "x", "--channel", "webhook", "--url", url],
        )
        .await
        .failed(2);
        assert!(
            printed.contains("--url: ")
                && printed.contains("allowed networks; to permit it: NOTIFY_OUTGOING_ALLOW"),
            "{printed}"
        );
    }
    let printed = endpoint(
        &db,
        &[LOCAL[0]],
        &["add", "x", "--channel", "slack", "--url", &receiver.base()],
    )
    .await
    .failed(2);
    assert!(
        printed.contains("http://") && printed.contains("NOTIFY_OUTGOING_PLAIN_HTTP"),
        "{printed}"
    );
    // What no setting permits.
    for url in [
        "ftp://example.com/x",
        "https://me:T0kenOfTheRoom@example.com/x",
    ] {
        let add = ["add", "x", "--channel", "webhook", "--url", url];
        let printed = endpoint(&db, &LOCAL, &add).await.failed(2);
        assert!(
            printed.contains("--url: ") && !printed.contains("NOTIFY_OUTGOING"),
            "{printed}"
        );
        assert!(!printed.contains("T0kenOfTheRoom"), "{printed}");
    }
    assert_eq!(db.count("notification_endpoints").await, 0);
    // As it turns out when the connection is made.
    let url = format!("http://localhost:{port}/");
    endpoint(
        &db,
        &[plain],
        &["add", "name", "--channel", "webhook", "--url", &url],
    )
    .await
    .succeeded();
    // Added while it was listed.
    endpoint(
        &db,
        &LOCAL,
        &[
            "add",
            "listed",
            "--channel",
            "webhook",
            "--url",
            &receiver.base(),
        ],
    )
    .await
    .succeeded();
    for name in ["name", "listed"] {
        let printed = endpoint(&db, &[plain], &["test", name]).await.failed(6);
        assert!(printed.contains("a loopback address"), "{printed}");
    }
    let printed = endpoint(&db, &[LOCAL[0]], &["test", "listed"])
        .await
        .failed(6);
    assert!(printed.contains("not encrypted"), "{printed}");
    assert_eq!(receiver.connections(), 0);
    endpoint(&db, &LOCAL, &["test", "listed"]).await.succeeded();
    assert_eq!(receiver.connections(), 1);
}
