//! The limit: the same messages by a client that does nothing but send them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::ensure;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::receiver::Receiver;
use super::{ENDPOINTS, What};

/// Sends so many messages, `at_once` of them at a time on as many connections.
pub(super) async fn seconds(
    receiver: &Receiver,
    what: What,
    messages: u32,
    at_once: u32,
) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicU32::new(0));
    // Only once in a process; the second time it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let started = Instant::now();
    let mut sending = JoinSet::new();
    for _ in 0..at_once {
        let next = Arc::clone(&next);
        match what {
            What::Webhooks => {
                sending.spawn(webhooks(http.clone(), receiver.http, next, messages));
            }
            What::Emails => {
                sending.spawn(emails(receiver.smtp, next, messages));
            }
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(started.elapsed().as_secs_f64())
}

async fn webhooks(
    client: reqwest::Client,
    address: SocketAddr,
    next: Arc<AtomicU32>,
    messages: u32,
) -> anyhow::Result<()> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= messages {
            return Ok(());
        }
        let event = json!({
            "type": "payment_failed", "timestamp": "2026-01-01T00:00:00Z",
            "data": {
                "tenant_id": number, "amount": 12.5, "reason": "card_declined",
                "summary": {
                    "title": format!("Payment of tenant {number} failed"), "severity": "critical",
                    "text": "The card was declined.", "link": "https://app.example.com/billing",
                },
            },
        });
        let endpoint = number as usize % ENDPOINTS;
        client
            .post(format!("http://{address}/hooks/{endpoint}"))
            .header("content-type", "application/json")
            .body(event.to_string())
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?;
    }
}

async fn emails(address: SocketAddr, next: Arc<AtomicU32>, messages: u32) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    expect(&mut stream, "220").await?;
    say(&mut stream, "EHLO bench.example\r\n", "250").await?;
    // About as much as the templates make of it.
    let text = "The meeting was moved. See https://app.example.com/meetings/1\r\n".repeat(45);
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= messages {
            return Ok(());
        }
        let recipient = format!("RCPT TO:<p{number}@example.com>\r\n");
        let email = format!("Subject: Moved: Quarterly review\r\n\r\n{text}.\r\n");
        for (line, code) in [
            ("MAIL FROM:<notify@example.com>\r\n", "250"),
            (&recipient, "250"),
            ("DATA\r\n", "354"),
            (&email, "250"),
        ] {
            say(&mut stream, line, code).await?;
        }
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str, code: &str) -> anyhow::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    expect(stream, code).await
}

/// Reads an answer to its last line.
async fn expect(stream: &mut BufReader<TcpStream>, code: &str) -> anyhow::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        ensure!(line.starts_with(code), "{line:?} in the place of {code}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}
