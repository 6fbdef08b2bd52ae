//! How the database is reached: what `DATABASE_URL` may say, TLS, and who does not answer.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::harness::{Server, Worker, binary_at, complaint, succeed, unprivileged_folder};

/// The code and the errors of a command with this URL.
async fn tried(command: &str, url: &str) -> (Option<i32>, String) {
    let ended = Worker::start(binary_at(url).arg(command)).end().await;
    (ended.status.code(), ended.stderr)
}

/// A certificate of X.509 version 1, as old installations have it, and its key.
fn old_certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]);
    let certificate = parameters.expect("parameters").self_signed(&key);
    let mut der = certificate.expect("a certificate").der().to_vec();
    let version_3 = [0xa0, 0x03, 0x02, 0x01, 0x02];
    let place = der.windows(5).position(|bytes| bytes == version_3);
    der[place.expect("a version") + 4] = 0;
    let text = BASE64_STANDARD.encode(der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    (pem, key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read() {
    let folder = unprivileged_folder();
    let (certificate, key) = old_certificate();
    let [certificate, key] = [("certificate", certificate), ("key", key)].map(|(name, pem)| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("permissions");
        let owner = format!("--reference={}", folder.path().display());
        succeed(Command::new("chown").arg(owner).arg(&path));
        path.display().to_string()
    });
    let port = free_port();
    let _server = Server::start_with(&format!(
        "-c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key} \
         -c listen_addresses=127.0.0.1 -c port={port}"
    ));
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");

    let (code, stderr) = tried("migrate", &url).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("connecting without TLS, as sslmode=prefer allows"),
        "{stderr}"
    );
    let (code, stderr) = tried("migrate", &format!("{url}?sslmode=require")).await;
    assert_eq!(code, Some(4), "{stderr}");
    assert!(stderr.contains("X.509 version 1"), "{stderr}");
    assert!(stderr.contains("sslmode=disable"), "{stderr}");
    let (code, stderr) = tried("migrate", &format!("{url}?sslmode=disable")).await;
    assert_eq!(code, Some(0), "{stderr}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address");
    let url = format!("postgres://me:hunter2@{place}/app?connect_timeout=1");
    for command in ["run", "deliver", "status", "doctor", "migrate"] {
        let (code, stderr) = tried(command, &url).await;
        assert_eq!(code, Some(4), "{command}: {stderr}");
        assert!(
            stderr.contains(&format!("no answer from {place} within 1 s")),
            "{command}: {stderr}"
        );
        assert!(!stderr.contains("hunter2"), "{command}: {stderr}");
    }
}

#[tokio::test]
async fn a_parameter_that_nobody_reads() {
    let (code, stderr) = tried("run", "postgres://me:hunter2@localhost/app?sslmod=require").await;
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(
        complaint(&stderr),
        "DATABASE_URL: unknown parameter sslmod; did you mean sslmode?"
    );
}
