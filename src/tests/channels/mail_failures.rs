//! Mail servers that fail where no decent one would: played line by line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use notify_fan_out::channels::smtp::SmtpSettings;
use notify_fan_out::channels::{
    AttemptOutcome, Cause, EmailMessage, Receipt, SendError, Smtp, TlsRoots,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{email, mailbox, now};

/// What the server does at some point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Say(&'static str),
    /// What it says otherwise, a second later.
    Late,
    Close,
    Silence,
}

/// Where the server fails: at a command.
#[derive(Debug, Clone, Copy)]
struct Plan {
    at: &'static str,
    failure: Failure,
}

pub(crate) struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    mails: Arc<AtomicUsize>,
}

impl Server {
    async fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::<AtomicUsize>::default();
        let mails = Arc::<AtomicUsize>::default();
        let (count, taken) = (Arc::clone(&connections), Arc::clone(&mails));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, plan, Arc::clone(&taken)));
            }
        });
        Self {
            port,
            connections,
            mails,
        }
    }

    /// One that never says whether it accepts a mail.
    pub(crate) async fn silent() -> Self {
        Self::start(failing("END", Failure::Silence)).await
    }

    pub(crate) fn address(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    /// A client that waits for so long, and for an acceptance for a moment more.
    fn smtp(&self, timeout: Duration) -> Smtp {
        let settings = SmtpSettings {
            timeout,
            acceptance_timeout: Duration::from_millis(100),
            ..self.settings()
        };
        Smtp::new(settings).expect("a way")
    }

    fn settings(&self) -> SmtpSettings {
        let server = self.address().parse().expect("a server");
        SmtpSettings::new(server, TlsRoots::default())
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            self.mails.load(Ordering::SeqCst),
        )
    }
}

async fn serve(stream: TcpStream, plan: Plan, taken: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut mails = 0;
    let mut command = "GREETING".to_owned();
    loop {
        // `LATER` is the second mail of a connection.
        let here = plan.at == command || plan.at == "LATER" && command == "MAIL" && mails > 0;
        let answer = match plan.failure {
            Failure::Close if here => return None,
            Failure::Silence if here => std::future::pending().await,
            Failure::Say(answer) if here => answer,
            Failure::Late if here => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                "250 OK"
            }
            _ => match command.as_str() {
                "GREETING" => "220 faulty.example ready",
                "EHLO" => "250-faulty.example\r\n250-STARTTLS\r\n250 8BITMIME",
                "DATA" => "354 go on",
                "QUIT" => "221 bye",
                _ => "250 OK",
            },
        };
        if command == "END" && answer.starts_with('2') {
            mails += 1;
            taken.fetch_add(1, Ordering::SeqCst);
        }
        stream
            .write_all(format!("{answer}\r\n").as_bytes())
            .await
            .ok()?;
        stream.flush().await.ok()?;
        if answer.starts_with("354") {
            let mut line = String::new();
            while line != ".\r\n" {
                line.clear();
                if stream.read_line(&mut line).await.ok()? == 0 {
                    return None;
                }
                if plan.at == "WITHIN" {
                    return None;
                }
            }
            "END".clone_into(&mut command);
        } else {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            command = line[..4].to_ascii_uppercase();
        }
    }
}

async fn send(smtp: &Smtp) -> Result<Receipt, SendError> {
    smtp.send(&mailbox("grace@example.org"), &email(), now())
        .await
}

fn failing(at: &'static str, failure: Failure) -> Plan {
    Plan { at, failure }
}

const SHORT: Duration = Duration::from_millis(700);
const RETRY: AttemptOutcome = AttemptOutcome::Retry { after: None };

/// Until the line that ends the mail a lost connection loses nothing; from there on nobody knows.
#[tokio::test]
async fn where_a_connection_broke_decides() {
    // An answer that is none says as little.
    for failure in [Failure::Close, Failure::Silence, Failure::Say("what?")] {
        for at in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "END"] {
            let server = Server::start(failing(at, failure)).await;
            let began = Instant::now();
            let error = send(&server.smtp(SHORT)).await.expect_err("an error");
            let outcome = match at {
                "END" => AttemptOutcome::Uncertain,
                _ => RETRY,
            };
            assert_eq!(error.outcome, outcome, "{at} {failure:?} {error}");
            assert_eq!(error.status, None);
            assert!(began.elapsed() < Duration::from_secs(2));
        }
    }
}

#[tokio::test]
async fn a_server_may_look_at_a_mail_for_long_before_it_accepts_it() {
    let server = Server::start(failing("END", Failure::Late)).await;
    let smtp = Smtp::new(SmtpSettings {
        timeout: SHORT,
        ..server.settings()
    });
    let smtp = smtp.expect("a way");
    send(&smtp).await.expect("a receipt");
    assert!(smtp.time_limit() > Duration::from_mins(10));
}

/// What somebody in between appends to the answer to STARTTLS would pass for answers of the
/// encrypted server, and the mail for accepted.
#[tokio::test]
async fn nothing_said_in_clear_text_counts_after_starttls() {
    let injected =
        "220 go ahead\r\n250 hello\r\n250 sender\r\n250 recipient\r\n354 go on\r\n250 accepted";
    let server = Server::start(failing("STAR", Failure::Say(injected))).await;
    let address = format!("smtp://127.0.0.1:{}", server.port);
    let server = address.parse().expect("a server");
    let smtp = Smtp::new(SmtpSettings::new(server, TlsRoots::default())).expect("a way");
    let error = send(&smtp).await.expect_err("an error");
    let cause = Cause::Settings;
    assert_eq!(error.outcome, AttemptOutcome::Permanent { cause });
    insta::assert_snapshot!(error, @"smtp failed on STARTTLS: more than the answer came before the encryption; somebody may have put it there");
}

/// It is larger than what the sockets hold.
#[tokio::test]
async fn a_mail_that_is_cut_while_it_is_written_is_sent_again() {
    let server = Server::start(failing("WITHIN", Failure::Close)).await;
    let large = EmailMessage {
        html: "<p>Large</p>\n".repeat(800_000),
        ..email()
    };
    let smtp = server.smtp(Duration::from_secs(30));
    let grace = mailbox("grace@example.org");
    let sent = smtp.send(&grace, &large, now()).await;
    let error = sent.expect_err("an error");
    assert_eq!(error.outcome, RETRY, "{error}");
    assert!(error.reason.starts_with("smtp failed on DATA"), "{error}");
}

/// A server may close a kept connection, or say so, before the next mail: that goes by a new one,
/// and arrives once.
#[tokio::test]
async fn stale_connections_are_replaced() {
    for failure in [Failure::Close, Failure::Say("421 idle for too long")] {
        let server = Server::start(failing("LATER", failure)).await;
        let smtp = server.smtp(SHORT);
        for _ in 0..4 {
            send(&smtp).await.expect("a receipt");
        }
        assert_eq!(server.counts(), (4, 4), "{failure:?}");
    }
}
