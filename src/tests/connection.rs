//! How the database is reached: what `DATABASE_URL` may say, TLS, and who does not answer.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::harness::{Server, Worker, binary_at, complaint, succeed, unprivileged_folder};

/// What a command with this URL says, ending with this code.
async fn tried(command: &str, url: &str, code: i32) -> String {
    let worker = Worker::start(binary_at(url).arg(command));
    worker.ends(code).await.stderr
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
async fn certificate_that_can_not_be_read_is_named() {
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

    for (mode, code, said) in [
        ("", 0, "connecting without TLS, as sslmode=prefer allows"),
        ("?sslmode=require", 4, "X.509 version 1"),
        ("?sslmode=require", 4, "sslmode=disable"),
        ("?sslmode=disable", 0, ""),
    ] {
        let stderr = tried("migrate", &format!("{url}{mode}"), code).await;
        assert!(stderr.contains(said), "{mode}: {stderr}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn server_that_does_not_answer_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = listener.local_addr().expect("an address");
    let url = format!("postgres://me:hunter2@{place}/app?connect_timeout=1");
    for command in ["run", "deliver", "status", "doctor", "migrate"] {
        let stderr = tried(command, &url, 4).await;
        let why = format!("no answer from {place} within 1 s");
        assert!(stderr.contains(&why), "{command}: {stderr}");
        assert!(!stderr.contains("hunter2"), "{command}: {stderr}");
    }
}

#[tokio::test]
async fn parameter_that_nobody_reads_is_refused() {
    let url = "postgres://me:hunter2@localhost/app?sslmod=require";
    let stderr = tried("run", url, 2).await;
    assert_eq!(
        complaint(&stderr),
        "DATABASE_URL: unknown parameter sslmod; did you mean sslmode?"
    );
}
