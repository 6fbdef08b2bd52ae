//! Secrets and settings at rest.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Stdio;

use notify_fan_out::channels::signature::SigningSecret;

use super::{
    HIDDEN, LOCAL, NEW, OLD, assert_signed, endpoint, json, keyed, settings, shown_secret,
};
use crate::channels::certificates::{Authority, acceptor};
use crate::channels::receiver::{Receiver, status};
use crate::harness::{TestDatabase, binary_at};

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
            let said = endpoint(&db, environment, arguments).await.failed(code);
            assert!(said.contains(why), "{arguments:?}: {said}");
            assert!(
                !said.contains("T0ken") && !said.contains("whsec_"),
                "{said}"
            );
        }
        // What needs no settings works.
        for arguments in [&["list"][..], &["disable", "ops"], &["enable", "ops"]] {
            endpoint(&db, environment, arguments).await.succeeded();
        }
    }
    // What was encrypted for one endpoint is refused in another's row.
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
    let said = endpoint(&db, &[("NOTIFY_SECRET_KEY", "hunter2!")], &["list"])
        .await
        .failed(2);
    assert!(
        said.contains("NOTIFY_SECRET_KEY: key 1 is neither") && !said.contains("hunter2"),
        "{said}"
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
    let said = endpoint(&db, &LOCAL, &["rotate-key"]).await.failed(2);
    assert!(said.contains("NOTIFY_SECRET_KEY: not set"), "{said}");
    // Without the old key, what it opens stays as it is.
    let report = endpoint(&db, &keyed(NEW), &["rotate-key", "--format", "json"]).await;
    assert_eq!(report.code, Some(1), "{report:?}");
    insta::assert_snapshot!(report.stdout, @r#"{"resealed_count":1,"unchanged_count":1,"unreadable":["before"]}"#);
    let said = endpoint(&db, &keyed(&both), &["rotate-key"])
        .await
        .succeeded();
    insta::assert_snapshot!(said, @"Encrypted the settings of 1 endpoint with the first key; 2 already were.");
    let said = endpoint(&db, &keyed(&both), &["rotate-key"])
        .await
        .succeeded();
    insta::assert_snapshot!(said, @"Nothing to do: the settings of 3 endpoints are already encrypted with the first key.");
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
    let said = cli(&["rotate-secret", "chat"]).await.failed(1);
    assert!(said.contains("messages are not signed"), "{said}");
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
    let said = endpoint(&db, &LOCAL[..1], &["test", "ops"]).await.failed(6);
    assert!(said.contains("no connection"), "{said}");
    let believing = [LOCAL[0], ("NOTIFY_OUTGOING_CA_FILE", file)];
    endpoint(&db, &believing, &["test", "ops"])
        .await
        .succeeded();
    assert_eq!(receiver.requests().len(), 1);
}
