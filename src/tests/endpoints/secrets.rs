//! Secrets and settings at rest.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::Stdio;

use notify_fan_out::channels::signature::SigningSecret;

use super::{
    LOCAL, NEW, OLD, assert_redacted, assert_signed, endpoint, json, keyed, settings, shown_secret,
};
use crate::channels::certificates::{Authority, acceptor};
use crate::channels::receiver::{Receiver, status};
use crate::harness::{TestDatabase, binary_at, words};

#[tokio::test]
async fn settings_are_of_no_use_without_their_key() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let add = |name: &str| {
        let url = format!("{}T0kenOfTheRoom", receiver.base());
        format!("add {name} --channel webhook --url {url}")
    };
    endpoint(&db, &keyed(OLD), &add("ops")).await.succeeded();
    let missing = "its settings are encrypted, and NOTIFY_SECRET_KEY is not set";
    let wrong = "none of the keys of NOTIFY_SECRET_KEY is the one";
    for (environment, why) in [(&LOCAL[..], missing), (&keyed(NEW), wrong)] {
        for (line, code) in [("test ops", 1), ("rotate-secret ops", 1), ("show ops", 0)] {
            let said = endpoint(&db, environment, line).await.failed(code);
            assert!(said.contains(why), "{line}: {said}");
            assert!(!said.contains("whsec_"), "{said}");
            assert_redacted(&said);
        }
        // What needs no settings works.
        for line in ["list", "disable ops", "enable ops"] {
            endpoint(&db, environment, line).await.succeeded();
        }
    }
    // What was encrypted for one endpoint is refused in another's row.
    endpoint(&db, &keyed(OLD), &add("other")).await.succeeded();
    db.execute("UPDATE notification_endpoints SET settings = (SELECT settings FROM notification_endpoints WHERE name = 'ops') WHERE name = 'other'").await;
    endpoint(&db, &keyed(OLD), "test other").await.failed(1);
    assert_eq!(receiver.connections(), 0);
    let no_key = [("NOTIFY_SECRET_KEY", "hunter2!")];
    let said = endpoint(&db, &no_key, "list").await.failed(2);
    let why = "NOTIFY_SECRET_KEY: key 1 is neither";
    assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    endpoint(&db, &LOCAL, "remove ops").await.succeeded();
}

#[tokio::test]
async fn a_key_is_replaced() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let both = format!("{NEW},{OLD}");
    let both = keyed(&both);
    let environments = [&LOCAL[..], &keyed(OLD), &both];
    let names = ["plain", "before", "new"];
    for (name, environment) in names.into_iter().zip(environments) {
        let add = format!(
            "add {name} --channel webhook --url {}{name}",
            receiver.base()
        );
        endpoint(&db, environment, &add).await.succeeded();
    }
    let new = settings(&db, "new").await;
    let said = endpoint(&db, &LOCAL, "rotate-key").await.failed(2);
    assert!(said.contains("NOTIFY_SECRET_KEY: not set"), "{said}");
    // Without the old key, what it opens stays as it is.
    let report = endpoint(&db, &keyed(NEW), "rotate-key --format json").await;
    assert_eq!(report.code, Some(1), "{report:?}");
    insta::assert_snapshot!(report.stdout, @r#"{"resealed_count":1,"unchanged_count":1,"unreadable":["before"]}"#);
    let mut said = endpoint(&db, &both, "rotate-key").await.succeeded();
    said += &endpoint(&db, &both, "rotate-key").await.succeeded();
    insta::assert_snapshot!(said, @"
    Encrypted the settings of 1 endpoint with the first key; 2 already were.
    Nothing to do: the settings of 3 endpoints are already encrypted with the first key.
    ");
    assert_eq!(settings(&db, "new").await, new);
    for name in names {
        assert!(settings(&db, name).await.starts_with("enc:v1:"));
        let test = format!("test {name}");
        endpoint(&db, &keyed(NEW), &test).await.succeeded();
    }
    let paths = receiver.requests().into_iter().map(|request| request.path);
    assert!(paths.eq(["/plain", "/before", "/new"]));
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_gap() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    let environment = keyed(NEW);
    let cli = async |line: &str| endpoint(&db, &environment, line).await.succeeded();
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let base = receiver.base();
    let added = cli(&format!(
        "add ops --channel webhook --url {base} --secret {own}"
    ))
    .await;
    assert!(!added.contains("whsec_"), "{added}");
    let first: SigningSecret = own.parse().expect("a secret");
    let second = shown_secret(&cli("rotate-secret ops").await);
    let shown = cli("show ops").await;
    assert!(shown.contains("2 sign, the newest first"), "{shown}");
    cli("test ops").await;
    let dropped = cli("rotate-secret ops --drop-old").await;
    assert!(!dropped.contains("whsec_"), "{dropped}");
    cli("test ops").await;
    let report = json(&cli("rotate-secret ops --format json").await);
    let third = report["secret"].as_str().expect("a secret");
    let third: SigningSecret = third.parse().expect("a secret");
    assert_eq!(report["secrets_count"], 2);
    cli("test ops").await;
    let requests = receiver.requests();
    assert_signed(&requests[0], &[second.clone(), first]);
    assert_signed(&requests[1], std::slice::from_ref(&second));
    assert_signed(&requests[2], &[third, second]);
    // Of a chat, the address is the secret.
    cli(&format!("add chat --channel slack --url {base}")).await;
    let said = endpoint(&db, &environment, "rotate-secret chat").await;
    let said = said.failed(1);
    assert!(said.contains("messages are not signed"), "{said}");
}

#[tokio::test]
async fn secrets_come_from_standard_input() {
    let db = TestDatabase::new().await;
    let mut command = binary_at(&db.superuser_url());
    let line = "endpoint add ops --channel webhook --url - --secret - --header 'X-Token: -'";
    command
        .args(words(line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    let lines = b"https://example.com/T0kenOfTheRoom\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nBearer 0fTheTenant\n";
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(lines).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success());
    insta::assert_snapshot!(settings(&db, "ops").await, @r#"{"url":"https://example.com/T0kenOfTheRoom","secrets":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],"headers":{"x-token":"Bearer 0fTheTenant"},"method":"POST"}"#);
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!printed.contains("whsec_"), "{printed}");
    assert_redacted(&printed);
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
    let add = format!("add ops --channel webhook --url {url}");
    endpoint(&db, &[], &add).await.succeeded();
    // No plain HTTP is permitted here.
    let said = endpoint(&db, &LOCAL[..1], "test ops").await.failed(6);
    assert!(said.contains("no connection"), "{said}");
    let believing = [LOCAL[0], ("NOTIFY_OUTGOING_CA_FILE", file)];
    endpoint(&db, &believing, "test ops").await.succeeded();
    assert_eq!(receiver.requests().len(), 1);
}
