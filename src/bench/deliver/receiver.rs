//! Receivers that take whatever comes as fast as they can: a web server and a mail server, on a
//! thread of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Both of them. They go on until the process ends.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) http: SocketAddr,
    pub(super) smtp: SocketAddr,
    taken: Arc<AtomicU64>,
}

impl Receiver {
    pub(super) fn start() -> anyhow::Result<Self> {
        let taken = Arc::<AtomicU64>::default();
        let shared = Arc::clone(&taken);
        let (ready, addresses) = std::sync::mpsc::channel();
        thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let http = TcpListener::bind("127.0.0.1:0").await?;
                let smtp = TcpListener::bind("127.0.0.1:0").await?;
                ready.send((http.local_addr()?, smtp.local_addr()?))?;
                loop {
                    let taken = Arc::clone(&shared);
                    tokio::select! {
                        accepted = http.accept() => {
                            drop(tokio::spawn(web(accepted?.0, taken)));
                        }
                        accepted = smtp.accept() => {
                            drop(tokio::spawn(email(accepted?.0, taken)));
                        }
                    }
                }
            })
        });
        let (http, smtp) = addresses.recv().context("the receiver did not start")?;
        Ok(Self { http, smtp, taken })
    }

    /// Messages taken since the last look.
    pub(super) fn take(&self) -> u64 {
        self.taken.swap(0, Ordering::Relaxed)
    }
}

/// Requests of one connection, which is kept; `None` at its end.
async fn web(stream: TcpStream, taken: Arc<AtomicU64>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).await.ok()?;
        taken.fetch_add(1, Ordering::Relaxed);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.ok()?;
        stream.flush().await.ok()?;
    }
}

/// E-mails of one connection; `None` at its end.
async fn email(stream: TcpStream, taken: Arc<AtomicU64>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut answer = "220 sink.example ready";
    loop {
        let answered = format!("{answer}\r\n");
        stream.write_all(answered.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let within = answer.starts_with("354");
        line.clear();
        loop {
            let start = line.len();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            if !within || &line[start..] == b".\r\n" {
                break;
            }
        }
        answer = match line.get(..4) {
            _ if within => {
                taken.fetch_add(1, Ordering::Relaxed);
                "250 taken"
            }
            Some(b"EHLO") => "250-sink.example\r\n250 8BITMIME",
            Some(b"DATA") => "354 go on",
            Some(b"QUIT") => "221 bye",
            _ => "250 yes",
        };
    }
}
