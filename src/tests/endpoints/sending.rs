//! Messages to endpoints: where they may go, and what a test of one shows.

use serde_json::Value;

use super::{
    LOCAL, NEW, assert_redacted, assert_signed, endpoint, json, keyed, settings, shown_secret,
};
use crate::channels::receiver::{Receiver, answer, status};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_webhook_is_added_reached_and_shown_without_its_secrets() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| answer(200, &[], "thanks, T0kenOfTheRoom")).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a file");
        format!("@{}", file.display())
    };
    let url = format!("{}T0kenOfTheRoom?k=T0kenOfTheRoom\n", receiver.base());
    let (url, token) = (file("url", &url), file("token", "Bearer 0fTheTenant"));
    let environment = [&keyed(NEW)[..], &[("LOG_LEVEL", "DEBUG")]].concat();
    let cli = async |line: &str| endpoint(&db, &environment, line).await;

    let added = cli(&format!(
        "add billing --channel webhook --method PUT --url {url} --header 'Authorization: {token}' \
         --events payment.failed,node_terminated,payment_failed"
    ))
    .await;
    let log = added.stderr.clone();
    let added = added.succeeded();
    let secret = shown_secret(&added);
    let first = added.lines().next().map(|line| {
        let host = receiver.address.to_string();
        line.replace(&host, "HOST")
    });
    insta::assert_snapshot!(first.expect("a line"), @"Added billing: webhook, http://HOST/…; scope global; events node_terminated, payment_failed.");
    let kept = settings(&db, "billing").await;
    assert!(kept.starts_with("enc:v1:"), "{kept}");

    // It is found by its name, redacted wherever it is shown.
    let mut printed = vec![added.replace(secret.reveal().as_str(), ""), log];
    for line in [
        "list",
        "show billing",
        "test billing",
        "disable billing",
        "enable billing",
        "rotate-secret billing --drop-old",
        "list --format json",
        "show billing --format json",
        "test billing --format json",
    ] {
        let ran = cli(line).await;
        printed.push(ran.stderr.clone());
        printed.push(ran.succeeded());
    }
    let rows = "SELECT to_jsonb(e) FROM notification_endpoints AS e";
    printed.extend(db.texts(rows).await);
    for text in &printed {
        assert_redacted(text);
        let secret = secret.reveal();
        assert!(!text.contains(&secret["whsec_".len()..]), "{text}");
    }
    let shown = cli("show billing").await.succeeded();
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
        assert_eq!(request.method, "PUT");
        assert_eq!(request.path, "/T0kenOfTheRoom?k=T0kenOfTheRoom");
        assert_eq!(request.headers["authorization"], "Bearer 0fTheTenant");
        assert_signed(&request, std::slice::from_ref(&secret));
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body["type"], "endpoint_test");
        assert_eq!(body["data"]["endpoint"], "billing");
        let title = &body["data"]["summary"]["title"];
        assert_eq!(title, "Test message of notify-fan-out");
    }
}

#[tokio::test]
async fn an_endpoint_of_any_channel_is_tried_by_what_sends_to_it() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/emails" | "/discord/T0kenOfTheRoom?wait=true" => answer(200, &[], r#"{"id":"4ef9a417"}"#),
        "/slack/T0kenOfTheRoom" => answer(200, &[], "ok"),
        _ => answer(400, &[], r#"{"code":21610,"message":"replied STOP"}"#),
    })
    .await;
    let base = receiver.base();
    let account = "AC0123456789abcdef0123456789abcdef";
    let environment = [
        LOCAL[0],
        LOCAL[1],
        ("APP_BASE_URL", "https://app.example.com"),
        ("NOTIFICATIONS_RESEND_API_KEY", "re_T0kenOfTheRoom"),
        ("NOTIFY_RESEND_BASE_URL", &base),
        ("NOTIFICATIONS_EMAIL_FROM", "Acme <notify@example.com>"),
        ("NOTIFY_TWILIO_ACCOUNT_SID", account),
        ("NOTIFY_TWILIO_AUTH_TOKEN", "T0kenOfTheRoom"),
        ("NOTIFY_TWILIO_FROM", "+15005550006"),
        ("NOTIFY_TWILIO_BASE_URL", &base),
    ];
    for (channel, destination) in [
        ("slack", format!("--url {base}slack/T0kenOfTheRoom")),
        ("discord", format!("--url {base}discord/T0kenOfTheRoom")),
        ("email", "--to ada.okafor@example.com".to_owned()),
        ("sms", "--to +4916098765432".to_owned()),
    ] {
        let add = format!("add {channel} --channel {channel} {destination}");
        let added = endpoint(&db, &environment, &add).await.succeeded();
        let mut notes = vec!["set NOTIFY_SECRET_KEY to encrypt them".to_owned()];
        if destination.starts_with("--url") {
            notes.push(format!("127.0.0.1 is not a host of {channel}"));
        }
        for note in notes {
            assert!(added.contains(&note), "{note}: {added}");
        }
        let test = format!("test {channel} --format json");
        let tested = endpoint(&db, &environment, &test).await;
        let code = if channel == "sms" { 6 } else { 0 };
        assert_eq!(tested.code, Some(code), "{tested:?}");
        let tested = json(&tested.stdout);
        let outcome = if channel == "sms" {
            "permanent"
        } else {
            "delivered"
        };
        assert_eq!(tested["outcome"], outcome, "{tested}");
    }
    for request in &receiver.requests()[..3] {
        let body = String::from_utf8_lossy(&request.body);
        for part in ["Test message of notify-fan-out", "https://app.example.com"] {
            assert!(body.contains(part), "{body}");
        }
    }
    let failed = endpoint(&db, &environment, "test sms").await.failed(6);
    for part in ["21610", "STOP"] {
        assert!(failed.contains(part), "{failed}");
    }
    // As they are, where there is no key.
    assert!(settings(&db, "slack").await.contains("T0kenOfTheRoom"));
    // E-mails and text messages have no transport where nothing is configured.
    for name in ["email", "sms"] {
        let test = format!("test {name}");
        let printed = endpoint(&db, &LOCAL, &test).await.failed(6);
        let why = "is configured (set NOTIFY_";
        assert!(printed.contains(why), "{printed}");
        assert!(!printed.contains("in 0s"), "{printed}");
        assert_redacted(&printed);
    }
}

#[tokio::test]
async fn a_test_that_fails_says_why_and_changes_nothing() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|request| match request.path.as_str() {
        "/gone" => answer(404, &[], "no_service"),
        "/busy" => answer(429, &[("retry-after", "30")], ""),
        _ => status(500),
    })
    .await;
    for (name, outcome) in [
        ("gone", "permanent"),
        ("busy", "retry"),
        ("broken", "retry"),
    ] {
        let add = format!("add {name} --channel slack --url {}{name}", receiver.base());
        endpoint(&db, &LOCAL, &add).await.succeeded();
        let test = format!("test {name} --format json");
        let tested = endpoint(&db, &LOCAL, &test).await;
        assert_eq!(tested.code, Some(6), "{tested:?}");
        assert_eq!(json(&tested.stdout)["outcome"], outcome, "{tested:?}");
    }
    let printed = endpoint(&db, &LOCAL, "test gone").await.failed(6);
    for part in ["no_service", "would disable this endpoint"] {
        assert!(printed.contains(part), "{printed}");
    }
    assert_eq!(receiver.requests().len(), 4);
    assert_eq!(db.count("notification_endpoints WHERE enabled").await, 3);
    assert_eq!(db.count("notification_delivery_targets").await, 0);
}

/// Whatever was permitted when the endpoint was added.
#[tokio::test]
async fn this_network_is_out_of_reach_unless_it_is_listed() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let by_name = format!("http://localhost:{}/", receiver.address.port());
    for (name, environment, url) in [
        ("name", &LOCAL[1..], by_name),
        ("listed", &LOCAL[..], receiver.base()),
    ] {
        let add = format!("add {name} --channel webhook --url {url}");
        endpoint(&db, environment, &add).await.succeeded();
        let test = format!("test {name}");
        let printed = endpoint(&db, &LOCAL[1..], &test).await.failed(6);
        assert!(printed.contains("a loopback address"), "{printed}");
    }
    let printed = endpoint(&db, &LOCAL[..1], "test listed").await.failed(6);
    assert!(printed.contains("not encrypted"), "{printed}");
    assert_eq!(receiver.connections(), 0);
    endpoint(&db, &LOCAL, "test listed").await.succeeded();
    assert_eq!(receiver.connections(), 1);
}
