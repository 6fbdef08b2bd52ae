//! Mails through aiosmtpd, a mail server of others, and read by Python's own mail package.

use std::fmt::Write as _;

use notify_fan_out::channels::smtp::SmtpSettings;
use notify_fan_out::channels::{
    AttemptOutcome, Cause, EmailMessage, Receipt, SendError, Smtp, TlsRoots,
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
    let grace = mailbox("Grace Ünsal <grace@example.org>");
    let receipt = smtp.send(&grace, &message, at).await.expect("a receipt");
    assert_eq!(receipt.status, 250);
    assert_eq!(receipt.answer, "2.0.0 OK: queued as 4711");
    let arrived = servers.program.next().await;
    let text = arrived["text"].as_str().expect("a text");
    assert!(text.lines().eq(message.text.lines()), "{text}");
    let mut shown = String::new();
    for header in arrived["headers"].as_array().expect("headers") {
        let [name, value] = [0, 1].map(|part| header[part].as_str().expect("a header"));
        if name != "Content-Type" {
            let _ = writeln!(shown, "{name}: {value}");
        }
    }
    for part in ["from", "to", "parts", "html", "defects", "encrypted"] {
        let _ = writeln!(shown, "{part} = {}", arrived[part]);
    }
    insta::assert_snapshot!(shown, @r#"
    Date: Sat, 21 Nov 2026 10:00:00 +0000
    From: Brücke <notify@example.com>
    To: Grace Ünsal <grace@example.org>
    Subject: Ada shared “Zähler.pdf”
    Message-ID: <email.6f9c@example.com>
    Reply-To: help@example.com
    Auto-Submitted: auto-generated
    List-Unsubscribe: <https://app.example/unsubscribe?token=abc>
    List-Unsubscribe-Post: List-Unsubscribe=One-Click
    MIME-Version: 1.0
    from = "notify@example.com"
    to = ["grace@example.org"]
    parts = ["multipart/alternative","text/plain","text/html"]
    html = "<p>Hello Grace,<br>Grüße</p>"
    defects = []
    encrypted = false
    "#);
}

/// Whose certificates are believed, then the address by its parts: scheme, credentials, server, options.
const REFUSED: &str = "
stranger smtp CREDENTIALS@ starttls -
stranger smtps CREDENTIALS@ tls -
ours smtp ada%40example.com:wrongPassw0rd@ starttls -
ours smtps ada%40example.com:wrongPassw0rd@ tls -
ours smtp - starttls -
ours smtp - starttls ?tls=none
ours smtp - open -
";

/// A stranger's certificate is not believed, so neither mail nor password goes there. Nothing is sent
/// without credentials or encryption where the server insists on it, or in the clear unless that is asked
/// for.
#[tokio::test]
async fn mails_and_passwords_are_encrypted_and_the_server_is_known() {
    let mut servers = Servers::start().await;
    for (scheme, server) in [("smtp", "starttls"), ("smtps", "tls")] {
        let address = servers.address(scheme, &format!("{CREDENTIALS}@"), server, "");
        let smtp = through(&address, servers.authority.tls_roots());
        to(&smtp, "grace@example.org").await.expect("a receipt");
        let arrived = servers.program.next().await;
        let seen = ["server", "encrypted", "authenticated"].map(|part| arrived[part].to_string());
        assert_eq!(seen, [&format!("\"{server}\""), "true", "true"]);
    }
    let mut table = String::new();
    for line in REFUSED.trim().lines() {
        let line = line.replace("CREDENTIALS", CREDENTIALS).replace('-', "");
        let parts: Vec<_> = line.split(' ').collect();
        let [whose, scheme, before, server, after] = parts[..] else {
            panic!("{line}");
        };
        let tls_roots = match whose {
            "ours" => servers.authority.tls_roots(),
            _ => Authority::new().tls_roots(),
        };
        let address = servers.address(scheme, before, server, after);
        let sent = to(&through(&address, tls_roots), "grace@example.org").await;
        let error = sent.expect_err("an error");
        assert!(!format!("{error:?}").contains("Passw0rd"), "{error:?}");
        let is_about_certificates = error.reason.contains("certificate");
        let _ = writeln!(
            table,
            "{:?} {:?} {}",
            error.outcome,
            error.status,
            if is_about_certificates {
                "certificate"
            } else {
                &error.reason
            }
        );
    }
    insta::assert_snapshot!(table, @"
    Retry { after: None } None certificate
    Retry { after: None } None certificate
    Permanent { cause: Settings } Some(535) smtp answered 535 on AUTH: 5.7.8 Authentication credentials invalid
    Permanent { cause: Settings } Some(535) smtp answered 535 on AUTH: 5.7.8 Authentication credentials invalid
    Permanent { cause: Settings } Some(530) smtp answered 530 on MAIL FROM: 5.7.0 Authentication required
    Permanent { cause: Settings } Some(530) smtp answered 530 on MAIL FROM: Must issue a STARTTLS command first
    Permanent { cause: Settings } None smtp failed on STARTTLS: the server does not offer it (tls=none does without)
    ");
}

#[tokio::test]
async fn refusals_and_a_connection_that_is_cut_disturb_no_other_mail() {
    let mut servers = Servers::start().await;
    let smtp = servers.open();
    let retry = AttemptOutcome::Retry { after: None };
    for (recipient, outcome, status) in [
        ("later@example.org", retry, Some(451)),
        ("never@example.org", permanent(Cause::Recipient), Some(550)),
        ("busy@example.org", retry, Some(452)),
        ("full@example.org", permanent(Cause::Recipient), Some(552)),
        ("cut@example.org", AttemptOutcome::Uncertain, None),
    ] {
        let error = to(&smtp, recipient).await.expect_err("an error");
        assert_eq!((error.outcome, error.status), (outcome, status), "{error}");
        assert!(!format!("{error:?}").contains(recipient), "{error:?}");
    }
    let error = to(&smtp, "never@example.org").await.expect_err("an error");
    insta::assert_snapshot!(error, @"smtp answered 550 on RCPT TO: 5.1.1 <n…@example.org>: no such user");
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
    // One connection, reset between.
    assert_eq!((peers.len(), &peers[0]), (2, &peers[1]));
    smtp.close().await;
    to(&smtp, "c@example.org").await.expect("a receipt");
    assert_ne!(servers.program.next().await["peer"], peers[0]);
}
