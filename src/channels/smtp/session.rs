//! One connection to a mail server, and the dialogue on it.

use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail as MailCommand, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::ExposeSecret;
use tokio_rustls::TlsConnector;

use super::SmtpSettings;
use super::refusal::{Refusal, Step};
use super::server::Security;
use super::starttls;
use super::stream::{Encrypted, connect};

/// How much of a mail is written at once.
const PART: usize = 16 * 1_024;

/// A connection that is ready for a mail.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    pub(super) used: Instant,
    pub(super) mails: u32,
}

/// What is sent, and how far that has come.
pub(super) struct Mail<'a> {
    pub(super) from: &'a Address,
    pub(super) to: &'a Address,
    pub(super) content: &'a [u8],
    /// Set just before the line that ends the mail is written: from there on the server may have
    /// taken it.
    pub(super) handed_over: &'a AtomicBool,
}

impl Session {
    pub(super) async fn open(settings: &SmtpSettings, tls: &TlsConnector) -> Result<Self, Refusal> {
        let server = &settings.server;
        let hello = server
            .hello
            .clone()
            .map_or_else(ClientId::default, ClientId::Domain);
        let stream = connect(&server.host, server.port, settings.connect_timeout).await;
        let stream = stream.map_err(Refusal::lost(Step::Connect))?;
        let stream: Box<dyn AsyncTokioStream> = match server.security {
            Security::Tls => {
                let encrypted = Encrypted::over(stream, &server.host, tls, &[]).await;
                Box::new(encrypted.map_err(Refusal::lost(Step::Connect))?)
            }
            Security::StartTls => {
                let stream = starttls::begin(stream, &hello).await?;
                // The dialogue begins anew, and the client expects it to do so with a greeting.
                let greeting = b"220 encrypted\r\n";
                let encrypted = Encrypted::over(stream, &server.host, tls, greeting).await;
                Box::new(encrypted.map_err(Refusal::lost(Step::Encrypt))?)
            }
            Security::None => Box::new(stream),
        };
        let greeting = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let mut connection = greeting.await.map_err(Refusal::at(Step::Connect))?;
        if let Some((user, password)) = &server.credentials {
            let password = password.expose_secret().to_owned();
            let credentials = Credentials::new(user.clone(), password);
            let authenticated = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            authenticated.map_err(Refusal::at(Step::Authenticate))?;
        }
        Ok(Self {
            connection,
            used: Instant::now(),
            mails: 0,
        })
    }

    /// What the server says once it has taken the mail.
    pub(super) async fn send(&mut self, mail: &Mail<'_>) -> Result<Response, Refusal> {
        let parameters = self.parameters(mail)?;
        let sender = MailCommand::new(Some(mail.from.clone()), parameters);
        let sender = self.connection.command(sender).await;
        sender.map_err(Refusal::at(Step::Sender))?;
        self.mails += 1;
        let recipient = Rcpt::new(mail.to.clone(), Vec::new());
        let recipient = self.connection.command(recipient).await;
        recipient.map_err(Refusal::at(Step::Recipient))?;
        let ready = self.connection.command(Data).await;
        ready.map_err(Refusal::at(Step::Content))?;

        // The client asks for one more part only after it has written the last one.
        let end = iter::from_fn(|| {
            mail.handed_over.store(true, Ordering::Relaxed);
            None
        });
        let parts = mail.content.chunks(PART).chain(end);
        let taken = self.connection.message_iter(parts).await.map_err(|error| {
            let over = mail.handed_over.load(Ordering::Relaxed);
            Refusal::at(if over { Step::End } else { Step::Content })(error)
        })?;
        self.used = Instant::now();
        Ok(taken)
    }

    /// What the server has to know of the mail beforehand, and to be able to do.
    fn parameters(&self, mail: &Mail<'_>) -> Result<Vec<MailParameter>, Refusal> {
        let server = self.connection.server_info();
        let mut parameters = Vec::new();
        let addresses: [&str; 2] = [mail.from.as_ref(), mail.to.as_ref()];
        if !addresses.iter().all(|address| address.is_ascii()) {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                let text = "the server takes no addresses beyond ASCII (SMTPUTF8)";
                return Err(Refusal::lacking(Step::Recipient, text));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.content.is_ascii() {
            if !server.supports_feature(Extension::EightBitMime) {
                let text = "the server takes no mail beyond ASCII (8BITMIME)";
                return Err(Refusal::lacking(Step::Content, text));
            }
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }

    /// Whether it is ready for another e-mail.
    pub(super) async fn reset(&mut self) -> bool {
        self.used = Instant::now();
        self.connection.command(Rset).await.is_ok()
    }

    pub(super) async fn quit(mut self) {
        let _ = self.connection.quit().await;
    }
}
