//! `endpoint`: what is added is reached, shown without its secrets, and kept as it should be.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use notify_fan_out::channels::signature::{SigningSecret, signatures};
use serde_json::Value;
use uuid::Uuid;

use crate::channels::certificates::{Authority, acceptor};
use crate::channels::receiver::{Receiver, Request, answer, status};
use crate::harness::{TestDatabase, Worker, binary_at, complaint};

const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
/// What must be read nowhere.
const HIDDEN: [&str; 4] = [
    "T0kenOfTheRoom",
    "Bearer 0fTheTenant",
    "ada.okafor",
    "16098765432",
];

type Environment<'a> = &'a [(&'a str, &'a str)];

/// This machine may be reached, in the clear.
const LOCAL: [(&str, &str); 2] = [
    ("NOTIFY_OUTGOING_ALLOW", "127.0.0.0/8"),
    ("NOTIFY_OUTGOING_PLAIN_HTTP", "true"),
];

/// A command and how it ended: its code, and what it printed.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    #[track_caller]
    fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.stdout + &self.stderr
    }
}

/// `endpoint`, with the tables' owner's rights.
async fn endpoint(db: &TestDatabase<'_>, environment: Environment<'_>, arguments: &[&str]) -> Ran {
    run(binary_at(&db.superuser_url()), environment, arguments).await
}

async fn run(mut command: Command, environment: Environment<'_>, arguments: &[&str]) -> Ran {
    command.arg("endpoint").args(arguments);
    command.envs(environment.iter().copied());
    let ended = Worker::start(&mut command).end().await;
    Ran {
        code: ended.status.code(),
        stdout: ended.stdout,
        stderr: ended.stderr,
    }
}

fn keyed(key: &str) -> [(&str, &str); 3] {
    [LOCAL[0], LOCAL[1], ("NOTIFY_SECRET_KEY", key)]
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The secret that a command shows, and that it shows it once.
#[track_caller]
fn shown_secret(stdout: &str) -> SigningSecret {
    assert_eq!(stdout.matches("whsec_").count(), 1, "{stdout}");
    let shown = stdout.lines().find(|line| line.contains("whsec_"));
    shown.expect("a secret").parse().expect("a secret")
}

/// Whether a request bears the signatures of exactly these secrets, in their order.
#[track_caller]
fn assert_signed(request: &Request, secrets: &[SigningSecret]) {
    let at = request.headers["webhook-timestamp"]
        .parse()
        .expect("a time");
    let at = chrono::DateTime::from_timestamp(at, 0).expect("a time");
    let expected = signatures(secrets, &request.headers["webhook-id"], at, &request.body);
    assert_eq!(request.headers["webhook-signature"], expected);
}

async fn settings(db: &TestDatabase<'_>, name: &str) -> String {
    db.text(&format!(
        "SELECT settings FROM notification_endpoints WHERE name = '{name}'"
    ))
    .await
}

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

    // It is found by its name, masked wherever it is shown.
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
            added.contains("with NOTIFY_SECRET_KEY they are encrypted"),
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
    let told = endpoint(&db, &LOCAL, &["test", "gone"]).await.failed(6);
    assert!(
        told.contains("no_service") && told.contains("would disable this endpoint"),
        "{told}"
    );
    assert_eq!(receiver.requests().len(), 5);
    assert_eq!(db.count("notification_endpoints WHERE enabled").await, 4);
    assert_eq!(db.count("notification_delivery_targets").await, 0);
    // Nothing carries these here.
    for (name, channel, to) in [
        ("desk", "email", "ada.okafor@example.com"),
        ("duty", "sms", "+4916098765432"),
    ] {
        let added = endpoint(
            &db,
            &LOCAL,
            &["add", name, "--channel", channel, "--to", to],
        )
        .await
        .succeeded();
        let told = endpoint(&db, &LOCAL, &["test", name]).await.failed(6);
        assert!(
            told.contains("is configured (set NOTIFY_") && !told.contains("in 0s"),
            "{told}"
        );
        for text in [added, told] {
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
        ("desk", "email", "ada.okafor@example.com"),
        ("duty", "sms", "+4916098765432"),
    ] {
        let add = ["add", name, "--channel", channel, "--to", to];
        endpoint(&db, &environment, &add).await.succeeded();
    }
    let id = db
        .text("SELECT id::text FROM notification_endpoints WHERE name = 'desk'")
        .await;
    let desk = format!("endpoint:{id}");
    let mailed = endpoint(&db, &environment, &["test", &desk, "--format", "json"]).await;
    let mailed = json(&mailed.succeeded());
    assert_eq!(
        (&mailed["outcome"], &mailed["transport"], &mailed["name"]),
        (&"delivered".into(), &"resend".into(), &"desk".into())
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
        let told = endpoint(
            &db,
            &[],
            &["add", "x", "--channel", "webhook", "--url", url],
        )
        .await
        .failed(2);
        assert!(
            told.contains("--url: ")
                && told.contains("allowed networks; to permit it: NOTIFY_OUTGOING_ALLOW"),
            "{told}"
        );
    }
    let told = endpoint(
        &db,
        &[LOCAL[0]],
        &["add", "x", "--channel", "slack", "--url", &receiver.base()],
    )
    .await
    .failed(2);
    assert!(
        told.contains("http://") && told.contains("NOTIFY_OUTGOING_PLAIN_HTTP"),
        "{told}"
    );
    // What no setting permits.
    for url in [
        "ftp://example.com/x",
        "https://me:T0kenOfTheRoom@example.com/x",
    ] {
        let add = ["add", "x", "--channel", "webhook", "--url", url];
        let told = endpoint(&db, &LOCAL, &add).await.failed(2);
        assert!(
            told.contains("--url: ") && !told.contains("NOTIFY_OUTGOING"),
            "{told}"
        );
        assert!(!told.contains("T0kenOfTheRoom"), "{told}");
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
        let told = endpoint(&db, &[plain], &["test", name]).await.failed(6);
        assert!(told.contains("a loopback address"), "{told}");
    }
    let told = endpoint(&db, &[LOCAL[0]], &["test", "listed"])
        .await
        .failed(6);
    assert!(told.contains("not encrypted"), "{told}");
    assert_eq!(receiver.connections(), 0);
    endpoint(&db, &LOCAL, &["test", "listed"]).await.succeeded();
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn settings_are_of_no_use_without_their_key() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let url = format!("{}T0kenOfTheRoom", receiver.base());
    let add = ["add", "ops", "--channel", "webhook", "--url", &url];
    endpoint(&db, &keyed(OLD), &add).await.succeeded();
    for (environment, why) in [
        (
            &LOCAL[..],
            "its settings are encrypted, and NOTIFY_SECRET_KEY is not set",
        ),
        (
            &keyed(NEW),
            "none of the keys of NOTIFY_SECRET_KEY is the one",
        ),
    ] {
        for (arguments, code) in [
            (&["test", "ops"][..], 1),
            (&["rotate-secret", "ops"], 1),
            (&["show", "ops"], 0),
        ] {
            let told = endpoint(&db, environment, arguments).await.failed(code);
            assert!(told.contains(why), "{arguments:?}: {told}");
            assert!(
                !told.contains("T0ken") && !told.contains("whsec_"),
                "{told}"
            );
        }
        // What needs no settings works.
        for arguments in [&["list"][..], &["disable", "ops"], &["enable", "ops"]] {
            endpoint(&db, environment, arguments).await.succeeded();
        }
    }
    // What was sealed for one endpoint is not taken in another's row.
    endpoint(
        &db,
        &keyed(OLD),
        &[
            "add",
            "other",
            "--channel",
            "webhook",
            "--url",
            "https://example.com",
        ],
    )
    .await
    .succeeded();
    db.execute("UPDATE notification_endpoints SET settings = (SELECT settings FROM notification_endpoints WHERE name = 'ops') WHERE name = 'other'").await;
    endpoint(&db, &keyed(OLD), &["test", "other"])
        .await
        .failed(1);
    assert_eq!(receiver.connections(), 0);
    let told = endpoint(&db, &[("NOTIFY_SECRET_KEY", "hunter2!")], &["list"])
        .await
        .failed(2);
    assert!(
        told.contains("NOTIFY_SECRET_KEY: key 1 is neither") && !told.contains("hunter2"),
        "{told}"
    );
    endpoint(&db, &LOCAL, &["remove", "ops"]).await.succeeded();
}

#[tokio::test]
async fn a_key_is_replaced() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let both = format!("{NEW},{OLD}");
    for (name, environment) in [
        ("plain", &LOCAL[..]),
        ("before", &keyed(OLD)),
        ("new", &keyed(&both)),
    ] {
        let url = format!("{}{name}", receiver.base());
        endpoint(
            &db,
            environment,
            &["add", name, "--channel", "webhook", "--url", &url],
        )
        .await
        .succeeded();
    }
    let new = settings(&db, "new").await;
    let told = endpoint(&db, &LOCAL, &["reseal"]).await.failed(2);
    assert!(told.contains("NOTIFY_SECRET_KEY: not set"), "{told}");
    // Without the old key, what it opens stays as it is.
    let report = endpoint(&db, &keyed(NEW), &["reseal", "--format", "json"]).await;
    assert_eq!(report.code, Some(1), "{report:?}");
    insta::assert_snapshot!(report.stdout, @r#"{"resealed_count":1,"unchanged_count":1,"unreadable":["before"]}"#);
    let told = endpoint(&db, &keyed(&both), &["rotate-key"])
        .await
        .succeeded();
    insta::assert_snapshot!(told, @"Encrypted the settings of 1 endpoint with the first key; 2 already were.");
    let told = endpoint(&db, &keyed(&both), &["rotate-key"])
        .await
        .succeeded();
    insta::assert_snapshot!(told, @"Nothing to do: the settings of 3 endpoints are already encrypted with the first key.");
    assert_eq!(settings(&db, "new").await, new);
    for name in ["plain", "before", "new"] {
        assert!(settings(&db, name).await.starts_with("enc:v1:"));
        endpoint(&db, &keyed(NEW), &["test", name])
            .await
            .succeeded();
    }
    let paths: Vec<_> = receiver
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths, ["/plain", "/before", "/new"]);
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_gap() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    let environment = keyed(NEW);
    let cli = async |arguments: &[&str]| endpoint(&db, &environment, arguments).await;
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let base = receiver.base();
    let added = cli(&[
        "add",
        "ops",
        "--channel",
        "webhook",
        "--url",
        &base,
        "--secret",
        own,
    ])
    .await
    .succeeded();
    assert!(!added.contains("whsec_"), "{added}");
    let first: SigningSecret = own.parse().expect("a secret");
    let second = shown_secret(&cli(&["rotate-secret", "ops"]).await.succeeded());
    let shown = cli(&["show", "ops"]).await.succeeded();
    assert!(shown.contains("2 sign, the newest first"), "{shown}");
    cli(&["test", "ops"]).await.succeeded();
    let dropped = cli(&["rotate-secret", "ops", "--drop-old"])
        .await
        .succeeded();
    assert!(!dropped.contains("whsec_"), "{dropped}");
    cli(&["test", "ops"]).await.succeeded();
    let report = json(
        &cli(&["rotate-secret", "ops", "--format", "json"])
            .await
            .succeeded(),
    );
    let third: SigningSecret = report["secret"]
        .as_str()
        .expect("a secret")
        .parse()
        .expect("a secret");
    assert_eq!(report["secrets_count"], 2);
    cli(&["test", "ops"]).await.succeeded();
    let requests = receiver.requests();
    assert_signed(&requests[0], &[second.clone(), first]);
    assert_signed(&requests[1], std::slice::from_ref(&second));
    assert_signed(&requests[2], &[third, second]);
    // Of a chat, the address is the secret.
    cli(&["add", "chat", "--channel", "slack", "--url", &base])
        .await
        .succeeded();
    let told = cli(&["rotate-secret", "chat"]).await.failed(1);
    assert!(told.contains("messages are not signed"), "{told}");
}

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
        ("desk", "email", "ada.okafor@example.com"),
    ] {
        let option = if channel == "email" { "--to" } else { "--url" };
        endpoint(&db, &[], &["add", name, "--channel", channel, option, to])
            .await
            .succeeded();
        queue(&db, name, 2).await;
    }
    // The job's role may switch, but neither add nor remove.
    let job = async |arguments: &[&str]| run(db.binary(), &[], arguments).await;
    let told = job(&["disable", "ops", "--reason", "moving\nrooms"])
        .await
        .succeeded();
    insta::assert_snapshot!(told, @"ops is disabled; 2 pending deliveries were cancelled.");
    insta::assert_snapshot!(job(&["disable", "ops"]).await.succeeded(), @"ops was disabled already; nothing was changed.");
    insta::assert_snapshot!(job(&["disable", "desk"]).await.succeeded(), @"desk is disabled; 2 pending deliveries were cancelled.");
    insta::assert_snapshot!(cancelled(&db).await.join("\n"), @"
    desk cancelled endpoint_disabled the endpoint was disabled: manually t 2
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
        r#"[(String("desk"), String("manually")), (String("ops"), String("manually: moving rooms")), (String("other"), Null)]"#
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
    let told = job(&["remove", "ops"]).await.failed(1);
    assert!(
        told.contains(
            "psql -d DATABASE -v role='notify_fan_out' -v endpoints=1 -f scripts/grants.sql"
        ),
        "{told}"
    );
    let told = endpoint(&db, &[], &["remove", "ops"]).await.succeeded();
    insta::assert_snapshot!(told, @"ops is removed; 3 pending deliveries were cancelled.");
    assert_eq!(
        db.count("notification_deliveries WHERE code = 'endpoint_removed'")
            .await,
        3
    );
    assert_eq!(db.count("notification_delivery_targets").await, 2);
    let told = endpoint(&db, &[], &["remove", "ops"]).await.failed(1);
    insta::assert_snapshot!(complaint(&told), @r#"there is no endpoint "ops"; there are other, desk"#);
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
    insta::assert_snapshot!(complaint(&cli(&["show", &nobody]).await.failed(1)), @r#"there is no endpoint "00000000-0000-0000-0000-000000000000"; there are ops"#);
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
    for (arguments, told) in [
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
            "there is no endpoint \"env:sms\"; there are env:slack, env:discord, env:email:70eacade",
        ),
        (
            &["rotate-secret", "env:slack"],
            "env:slack is a route of the environment",
        ),
    ] {
        let refused = job(arguments).await.failed(1);
        assert!(refused.contains(told), "{arguments:?}: {refused}");
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

#[tokio::test]
async fn what_is_wrong_is_refused_and_adds_nothing() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let org = world.org("Harbour", []).await;
    let project = world.project("Atlas", org).await.to_string();
    let webhook = [
        "add",
        "ops",
        "--channel",
        "webhook",
        "--url",
        "https://example.com/T0kenOfTheRoom",
    ];
    let of = |more: &[&'static str]| [&webhook[..], more].concat();
    let nobody = "00000000-0000-4000-8000-000000000001";
    for (arguments, code, told) in [
        (of(&["--to", "a@example.com"]), 2, "--to"),
        (
            vec!["add", "ops", "--channel", "webhook"],
            2,
            "an endpoint of channel webhook takes --url",
        ),
        (
            vec![
                "add",
                "ops",
                "--channel",
                "email",
                "--url",
                "https://example.com",
            ],
            2,
            "an endpoint of channel email takes --to",
        ),
        (
            vec!["add", "ops", "--channel", "fax", "--url", "x"],
            2,
            "[possible values: email, sms, slack, discord, webhook]",
        ),
        (
            vec![
                "add",
                "env:slack",
                "--channel",
                "email",
                "--to",
                "a@example.com",
            ],
            2,
            "a name has 1 to 60",
        ),
        (
            vec![
                "add",
                "ops",
                "--channel",
                "slack",
                "--url",
                "T0kenOfTheRoom",
            ],
            2,
            "--url: not an address",
        ),
        (
            vec![
                "add",
                "ops",
                "--channel",
                "slack",
                "--url",
                "ftp://example.com/T0kenOfTheRoom",
            ],
            2,
            "does not begin with https://",
        ),
        (
            vec![
                "add",
                "ops",
                "--channel",
                "slack",
                "--url",
                "https://u:T0kenOfTheRoom@example.com",
            ],
            2,
            "user name or password",
        ),
        (
            vec!["add", "ops", "--channel", "email", "--to", "ada.okafor"],
            2,
            "--to: not a mail address",
        ),
        (
            vec!["add", "ops", "--channel", "sms", "--to", "016098765432"],
            2,
            "--to: a phone number has to be in the international form",
        ),
        (
            vec![
                "add",
                "ops",
                "--channel",
                "slack",
                "--url",
                "https://hooks.slack.com/x",
                "--secret",
                "x",
            ],
            2,
            "are for endpoints of channel webhook",
        ),
        (
            vec!["add", "ops", "--channel", "slack", "--url", "@/nowhere"],
            2,
            "--url: /nowhere can't be read",
        ),
        (
            vec!["add", "ops", "--channel", "slack", "--url", "-"],
            2,
            "--url: standard input has no line left",
        ),
        (
            of(&["--secret", "whsec_T0kenOfTheRoom"]),
            2,
            "--secret: a signing secret is whsec_",
        ),
        (
            of(&["--header", "Bearer 0fTheTenant"]),
            2,
            "--header: must be 'Name: value'",
        ),
        (
            of(&["--header", "Host: example.com"]),
            2,
            "--header: the header host is set by the sender",
        ),
        (of(&["--method", "GET"]), 2, "must be POST or PUT"),
        (
            of(&["--events", "payment"]),
            2,
            "there are tenant_created, ",
        ),
        (of(&["--org", "x"]), 2, "--org"),
        (
            of(&["--org", nobody]),
            1,
            "there is no organisation 00000000-0000-4000-8000-000000000001",
        ),
        (
            of(&["--project", nobody]),
            1,
            "there is no project 00000000-0000-4000-8000-000000000001",
        ),
        (
            vec!["show", "ops"],
            1,
            "there is no endpoint \"ops\", nor any other",
        ),
        (
            vec!["test", "ops"],
            1,
            "there is no endpoint \"ops\", nor any other",
        ),
        (
            vec!["rotate-secret", "ops"],
            1,
            "there is no endpoint \"ops\", nor any other",
        ),
    ] {
        let refused = endpoint(&db, &[], &arguments).await.failed(code);
        assert!(refused.contains(told), "{arguments:?}: {refused}");
        assert!(
            !HIDDEN.iter().any(|hidden| refused.contains(hidden)),
            "{arguments:?}: {refused}"
        );
    }
    assert_eq!(db.count("notification_endpoints").await, 0);
    let in_project = [&webhook[..], &["--project", &project]].concat();
    let added = endpoint(&db, &[], &in_project).await.succeeded();
    assert!(
        added.contains(&format!("scope project {project}")),
        "{added}"
    );
    let twice = endpoint(&db, &[], &webhook).await.failed(1);
    assert!(
        twice.contains("there is an endpoint ops already"),
        "{twice}"
    );
    assert_eq!(db.count("notification_endpoints").await, 1);
}

#[tokio::test]
async fn secrets_come_from_standard_input() {
    let db = TestDatabase::new().await;
    let mut command = binary_at(&db.superuser_url());
    command
        .args([
            "endpoint",
            "add",
            "ops",
            "--channel",
            "webhook",
            "--url",
            "-",
            "--secret",
            "-",
            "--header",
            "X-Token: -",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    let lines = "https://example.com/T0kenOfTheRoom\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nBearer 0fTheTenant\n";
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(lines.as_bytes())
        .expect("written");
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success());
    insta::assert_snapshot!(settings(&db, "ops").await, @r#"{"url":"https://example.com/T0kenOfTheRoom","secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],"headers":{"x-token":"Bearer 0fTheTenant"},"method":"POST"}"#);
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        !printed.contains("whsec_") && !HIDDEN.iter().any(|hidden| printed.contains(hidden)),
        "{printed}"
    );
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_where_a_file_names_it() {
    let db = TestDatabase::new().await;
    let authority = Authority::new();
    let tls = acceptor(&authority.issue("localhost"));
    let local = Ipv4Addr::LOCALHOST.into();
    let receiver = Receiver::at(local, 0, Some(tls), |_| status(200)).await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), authority.pem()).expect("written");
    let file = file.path().to_str().expect("a path");
    let url = format!("https://localhost:{}/", receiver.address.port());
    let add = ["add", "ops", "--channel", "webhook", "--url", &url];
    endpoint(&db, &[], &add).await.succeeded();
    // No plain HTTP is permitted here.
    let told = endpoint(&db, &LOCAL[..1], &["test", "ops"]).await.failed(6);
    assert!(told.contains("no connection"), "{told}");
    let believing = [LOCAL[0], ("NOTIFY_OUTGOING_CA_FILE", file)];
    endpoint(&db, &believing, &["test", "ops"])
        .await
        .succeeded();
    assert_eq!(receiver.requests().len(), 1);
}

/// A new channel needs no migration.
#[tokio::test]
async fn the_tables_take_any_name_of_a_channel_and_nothing_else() {
    let db = TestDatabase::new().await;
    let mut connection = db.connect().await;
    for (name, is_taken) in [
        ("chat_2", true),
        ("Slack", false),
        ("a b", false),
        ("", false),
    ] {
        for insert in [
            format!(
                "notification_deliveries (channel, target, recipient, event_type) VALUES ('{name}', 't', 'r', 'x')"
            ),
            format!(
                "notification_endpoints (id, name, channel, target, settings) VALUES (gen_random_uuid(), '{name}', '{name}', 't', '{{}}')"
            ),
        ] {
            let insert = format!("INSERT INTO {insert}");
            let inserted = sqlx::raw_sql(sqlx::AssertSqlSafe(insert.clone()))
                .execute(&mut connection)
                .await;
            assert_eq!(inserted.is_ok(), is_taken, "{insert}: {inserted:?}");
        }
    }
}
