//! Mails through aiosmtpd, a mail server of others, and read by Python's own mail package.

use notify_fan_out::channels::smtp::SmtpSettings;
use notify_fan_out::channels::{
    AttemptOutcome, Cause, EmailMessage, Receipt, SendError, Smtp, TlsRoots, Transport,
};
use serde_json::Value;

use super::certificates::Authority;
use super::foreign::Foreign;
use super::{email, mailbox, now};

const CREDENTIALS: &str = "ada%40example.com:p%2Fs%C3%9F%20word";

pub(crate) struct Servers {
    pub(crate) program: Foreign,
    ports: Value,
    authority: Authority,
    _files: tempfile::TempDir,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new();
        let identity = authority.issue("localhost");
        let files = tempfile::tempdir().expect("a folder");
        let [certificate, key] = ["certificate", "key"].map(|name| files.path().join(name));
        std::fs::write(&certificate, identity.certificate).expect("a file");
        std::fs::write(&key, identity.key).expect("a file");
        let files_of = [&certificate, &key].map(|path| path.to_str().expect("a path"));
        let mut program = Foreign::start("TEST_PYTHON", "mail_server.py", &files_of);
        Self {
            ports: program.next().await,
            program,
            authority,
            _files: files,
        }
    }

    /// The address of a server, with `before` between scheme and host and `after` at the end.
    pub(crate) fn address(&self, scheme: &str, before: &str, server: &str, after: &str) -> String {
        format!("{scheme}://{before}localhost:{}{after}", self.ports[server])
    }

    fn open(&self) -> Smtp {
        let address = self.address("smtp", "", "open", "?tls=none&hello=app.example");
        through(&address, TlsRoots::default())
    }
}

fn through(address: &str, tls_roots: TlsRoots) -> Smtp {
    let server = address.parse().expect("a server");
    Smtp::new(SmtpSettings::new(server, tls_roots)).expect("a way")
}

async fn to(smtp: &Smtp, recipient: &str) -> Result<Receipt, SendError> {
    smtp.send(&mailbox(recipient), &email(), now()).await
}

fn permanent(cause: Cause) -> AttemptOutcome {
    AttemptOutcome::Permanent { cause }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let mut servers = Servers::start().await;
    let smtp = servers.open();
    let at = "2026-11-21T10:00:00Z".parse().expect("a time");
    let message = EmailMessage {
        text: format!("Grüße\n.\n..\n.hidden\n{}", "A long line. ".repeat(100)),
        ..email()
    };
    let receipt = smtp
        .send(&mailbox("Grace Ünsal <grace@example.org>"), &message, at)
        .await;
    let receipt = receipt.expect("a receipt");
    assert_eq!(
        (receipt.status, receipt.answer.as_str()),
        (250, "2.0.0 OK: queued as 4711")
    );
    let mut arrived = servers.program.next().await;
    arrived["peer"].take();
    let text = arrived["text"].take();
    let lines = text.as_str().expect("a text").lines();
    assert!(lines.eq(message.text.lines()), "{text}");
    let headers = arrived["headers"].as_array_mut().expect("headers");
    headers.retain(|header| header[0] != "Content-Type");
    insta::assert_json_snapshot!(arrived, @r#"
        {
          "authenticated": null,
          "defects": [],
          "encrypted": false,
          "from": "notify@example.com",
          "headers": [
            [
              "Date",
              "Sat, 21 Nov 2026 10:00:00 +0000"
            ],
            [
              "From",
              "Brücke <notify@example.com>"
            ],
            [
              "To",
              "Grace Ünsal <grace@example.org>"
            ],
            [
              "Subject",
              "Ada shared “Zähler.pdf”"
            ],
            [
              "Message-ID",
              "<email.6f9c@example.com>"
            ],
            [
              "Reply-To",
              "help@example.com"
            ],
            [
              "Auto-Submitted",
              "auto-generated"
            ],
            [
              "List-Unsubscribe",
              "<https://app.example/unsubscribe?token=abc>"
            ],
            [
              "List-Unsubscribe-Post",
              "List-Unsubscribe=One-Click"
            ],
            [
              "MIME-Version",
              "1.0"
            ]
          ],
          "html": "<p>Hello Grace,<br>Grüße</p>",
          "parts": [
            "multipart/alternative",
            "text/plain",
            "text/html"
          ],
          "peer": null,
          "server": "open",
          "text": null,
          "to": [
            "grace@example.org"
          ]
        }
        "#);
}

#[tokio::test]
async fn encrypted_and_authenticated() {
    let mut servers = Servers::start().await;
    let credentials = format!("{CREDENTIALS}@");
    for (scheme, server) in [("smtp", "starttls"), ("smtps", "tls")] {
        let address = servers.address(scheme, &credentials, server, "");
        let smtp = through(&address, servers.authority.tls_roots());
        to(&smtp, "grace@example.org").await.expect("a receipt");
        let arrived = servers.program.next().await;
        assert_eq!(
            (
                &arrived["server"],
                &arrived["encrypted"],
                &arrived["authenticated"]
            ),
            (&server.into(), &true.into(), &true.into())
        );

        // A stranger's certificate is not believed, so neither mail nor password goes there.
        let stranger = through(&address, Authority::new().tls_roots());
        let error = to(&stranger, "grace@example.org")
            .await
            .expect_err("an error");
        assert_eq!(
            (error.outcome, error.status),
            (AttemptOutcome::Retry { after: None }, None),
            "{error}"
        );
        assert!(error.reason.contains("certificate"), "{error}");

        let wrong = servers.address(scheme, "ada%40example.com:wrong-Passw0rd@", server, "");
        let wrong = through(&wrong, servers.authority.tls_roots());
        let error = to(&wrong, "grace@example.org").await.expect_err("an error");
        assert_eq!(
            (error.outcome, error.status),
            (permanent(Cause::Settings), Some(535)),
            "{error}"
        );
        assert!(
            error.reason.contains("on AUTH") && !format!("{error:?}").contains("Passw0rd"),
            "{error}"
        );
    }
    // Without credentials, where there have to be some.
    let address = servers.address("smtp", "", "starttls", "");
    let smtp = through(&address, servers.authority.tls_roots());
    let error = to(&smtp, "grace@example.org").await.expect_err("an error");
    assert_eq!(
        (error.outcome, error.status),
        (permanent(Cause::Settings), Some(530)),
        "{error}"
    );
    // And without encryption, where the server insists on it or does not offer it.
    let address = servers.address("smtp", "", "starttls", "?tls=none");
    let error = to(&through(&address, TlsRoots::default()), "grace@example.org")
        .await
        .expect_err("an error");
    assert_eq!(
        (error.outcome, error.status),
        (permanent(Cause::Settings), Some(530)),
        "{error}"
    );
    let address = servers.address("smtp", "", "open", "");
    let error = to(&through(&address, TlsRoots::default()), "grace@example.org")
        .await
        .expect_err("an error");
    assert_eq!(
        (error.outcome, error.status),
        (permanent(Cause::Settings), None),
        "{error}"
    );
}

#[tokio::test]
async fn refusals_and_a_connection_that_is_cut() {
    let mut servers = Servers::start().await;
    let smtp = servers.open();
    for (recipient, outcome, status) in [
        (
            "later@example.org",
            AttemptOutcome::Retry { after: None },
            Some(451),
        ),
        ("never@example.org", permanent(Cause::Recipient), Some(550)),
        (
            "busy@example.org",
            AttemptOutcome::Retry { after: None },
            Some(452),
        ),
        ("full@example.org", permanent(Cause::Recipient), Some(552)),
        ("cut@example.org", AttemptOutcome::Uncertain, None),
    ] {
        let error = to(&smtp, recipient).await.expect_err("an error");
        assert_eq!((error.outcome, error.status), (outcome, status), "{error}");
        assert!(!format!("{error:?}").contains(recipient), "{error:?}");
    }
    let error = to(&smtp, "never@example.org").await.expect_err("an error");
    insta::assert_snapshot!(error, @"smtp answered 550 on RCPT TO: 5.1.1 <n…@example.org>: no such user");
    // After all of that, the next mail goes through, as before.
    to(&smtp, "grace@example.org").await.expect("a receipt");
    for recipient in ["busy", "full", "cut", "grace"] {
        let arrived = servers.program.next().await;
        assert_eq!(arrived["to"][0], format!("{recipient}@example.org"));
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let mut servers = Servers::start().await;
    let smtp = servers.open();
    let mut peers = Vec::new();
    for recipient in ["a@example.org", "never@example.org", "b@example.org"] {
        if to(&smtp, recipient).await.is_ok() {
            peers.push(servers.program.next().await["peer"].clone());
        }
    }
    assert_eq!(
        (peers.len(), &peers[0]),
        (2, &peers[1]),
        "one connection, reset between"
    );
    smtp.close().await;
    to(&smtp, "c@example.org").await.expect("a receipt");
    assert_ne!(servers.program.next().await["peer"], peers[0]);
}

/// Several at once, as a deliverer sends them.
#[tokio::test]
async fn side_by_side() {
    let mut servers = Servers::start().await;
    let smtp = servers.open();
    let recipients: Vec<_> = (0..20).map(|n| format!("user{n}@example.org")).collect();
    let sends = recipients.iter().map(|recipient| to(&smtp, recipient));
    for result in futures_util::future::join_all(sends).await {
        result.expect("a receipt");
    }
    let mut arrived = Vec::new();
    for _ in &recipients {
        arrived.push(
            servers.program.next().await["to"][0]
                .as_str()
                .expect("a recipient")
                .to_owned(),
        );
    }
    arrived.sort();
    let mut expected = recipients.clone();
    expected.sort();
    assert_eq!(arrived, expected);
}
