//! E-mails by a mail server.
//!
//! The dialogue runs command by command, because what a broken connection means depends on how far
//! it had come: until the line that ends the e-mail, the server has not accepted it; after that,
//! it is uncertain.

mod refusal;
mod server;
mod session;
mod starttls;
mod stream;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::redact::Redactor;
use super::truncate::truncate;
use super::{AttemptOutcome, EmailMessage, Mailbox, Receipt, SendError, TlsRoots};
use refusal::{Refusal, Step, text_of};
use session::{Mail, Session};

pub use server::SmtpServer;

/// Connections that are kept for the next mail.
const KEPT_MAX: usize = 8;
/// A server closes one that says nothing, often after a minute or five.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Some servers take only so many mails by one connection.
const MAILS_MAX: u32 = 100;

pub struct SmtpSettings {
    pub server: SmtpServer,
    pub tls_roots: TlsRoots,
    /// Until the server has the whole e-mail.
    pub timeout: Duration,
    /// Until it has accepted it.
    pub acceptance_timeout: Duration,
    /// Of each address of the server.
    pub connect_timeout: Duration,
}

impl SmtpSettings {
    /// Servers look at a mail before they accept it; to stop waiting early is to send it twice
    /// (RFC 5321, 4.5.3.2.6).
    pub const ACCEPTANCE_TIMEOUT: Duration = Duration::from_mins(10);

    pub fn new(server: SmtpServer, tls_roots: TlsRoots) -> Self {
        Self {
            server,
            tls_roots,
            timeout: Duration::from_mins(2),
            acceptance_timeout: Self::ACCEPTANCE_TIMEOUT,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A mail server, with the connections that are kept open to it.
pub struct Smtp {
    settings: SmtpSettings,
    tls: TlsConnector,
    redactor: Redactor,
    kept: Mutex<Vec<Session>>,
}

impl Smtp {
    /// Connects nothing yet.
    pub fn new(settings: SmtpSettings) -> anyhow::Result<Self> {
        let client = settings.tls_roots.client();
        let client = client.map_err(|error| anyhow!("TLS can't be set up: {error}"))?;
        let mut redactor = Redactor::default();
        if let Some((user, password)) = &settings.server.credentials {
            redactor = redactor.hiding(user).hiding(password.expose_secret());
        }
        Ok(Self {
            tls: TlsConnector::from(Arc::new(client)),
            settings,
            redactor,
            kept: Mutex::default(),
        })
    }

    /// Closes all connections.
    pub async fn close(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        for session in kept {
            // Who doesn't answer is not waited for.
            let _ = timeout(Duration::from_secs(1), session.quit()).await;
        }
    }

    /// Sends over a kept connection if there is one. If the server has closed that meanwhile, nothing
    /// was sent, and it opens a new one.
    async fn deliver(&self, mail: &Mail<'_>) -> Result<Receipt, SendError> {
        while let Some(mut session) = self.take() {
            match session.send(mail).await {
                Err(refusal) if refusal.is_stale() => {}
                result => return self.settle(session, result).await,
            }
        }
        let opened = Session::open(&self.settings, &self.tls).await;
        let mut session = opened.map_err(|refusal| self.classify(&refusal))?;
        let result = session.send(mail).await;
        self.settle(session, result).await
    }

    async fn settle(
        &self,
        mut session: Session,
        result: Result<Response, Refusal>,
    ) -> Result<Receipt, SendError> {
        let reusable = match &result {
            Ok(_) => true,
            Err(refusal) => {
                refusal.status.is_some_and(|status| status != 421) && session.reset().await
            }
        };
        if reusable {
            self.keep(session);
        }
        let taken = result.map_err(|refusal| self.classify(&refusal))?;
        Ok(Receipt {
            status: taken.code().into(),
            answer: self.redactor.answer(text_of(&taken).as_bytes()),
            provider_id: None,
        })
    }

    fn take(&self) -> Option<Session> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        kept.retain(|session| now.duration_since(session.used) < KEPT_FOR);
        kept.pop()
    }

    fn keep(&self, session: Session) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX && session.mails < MAILS_MAX {
            kept.push(session);
        }
    }

    fn classify(&self, refusal: &Refusal) -> SendError {
        let text = self.redactor.redact(&truncate(&refusal.text, 300));
        let answer = || self.redactor.answer(refusal.text.as_bytes());
        let (reason, answer) = match refusal.status {
            Some(status) => {
                let reason = format!("smtp answered {status} {}: {text}", refusal.step);
                (reason, Some(answer()))
            }
            None => (format!("smtp failed {}: {text}", refusal.step), None),
        };
        SendError {
            status: refusal.status,
            answer,
            ..SendError::new(refusal.outcome(), reason)
        }
    }

    /// No attempt takes longer; a lease has to outlive it.
    pub fn time_limit(&self) -> Duration {
        self.settings.timeout + self.settings.acceptance_timeout
    }

    /// One attempt, which starts at `now`.
    pub async fn send(
        &self,
        target: &Mailbox,
        message: &EmailMessage,
        now: DateTime<Utc>,
    ) -> Result<Receipt, SendError> {
        let handed_over = AtomicBool::new(false);
        let mail = Mail {
            from: message.from.envelope_address(),
            to: target.envelope_address(),
            content: &message.to_mime(target, now)?,
            handed_over: &handed_over,
        };
        let mut delivering = pin!(self.deliver(&mail));
        if let Ok(result) = timeout(self.settings.timeout, &mut delivering).await {
            return result;
        }
        if !handed_over.load(Ordering::Relaxed) {
            return Err(SendError::retry("smtp failed: not done in time"));
        }
        let accepted = timeout(self.settings.acceptance_timeout, delivering).await;
        accepted.unwrap_or_else(|_| {
            Err(SendError::new(
                AttemptOutcome::Uncertain,
                format!("smtp failed {}: no answer in time", Step::End),
            ))
        })
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({:?})", self.settings.server)
    }
}
