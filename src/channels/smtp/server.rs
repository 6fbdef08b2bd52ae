//! Which mail server, and how it is spoken to.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// A mail server, written as an address:
///
/// - `smtp://user:password@host`: port 587, encrypted by STARTTLS, which has to be offered;
/// - `smtps://user:password@host`: port 465, encrypted from the beginning;
/// - `smtp://host:25?tls=none`: not encrypted; without credentials, unless the host is this one.
///
/// What is special in an address is percent-encoded in name and password. `hello=name` gives the
/// name that the server is greeted with, instead of the machine's own.
#[derive(Clone)]
pub struct SmtpServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<(String, SecretString)>,
    pub(super) hello: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Encrypted from the beginning.
    Tls,
    /// Encrypted before anything is said.
    StartTls,
    /// Not at all.
    None,
}

/// An address that names no mail server. It is not repeated: it may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServer {
    #[error("not an address such as smtp://user:password@mail.example.com:587")]
    Form,
    #[error("must begin with smtp:// or smtps://")]
    Scheme,
    #[error("takes no path, and no parameters but tls=none and hello=NAME")]
    Parameter,
    #[error("smtps:// and tls=none contradict each other")]
    Contradiction,
    #[error("a user name needs a password")]
    NoPassword,
    #[error("a password must not go to another host without encryption (tls=none)")]
    OpenPassword,
}

impl FromStr for SmtpServer {
    type Err = InvalidServer;

    fn from_str(text: &str) -> Result<Self, InvalidServer> {
        let url: Url = text.trim().parse().map_err(|_| InvalidServer::Form)?;
        let (mut security, port) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(InvalidServer::Scheme),
        };
        let mut hello = None;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(InvalidServer::Parameter);
        }
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("tls", "none") if security == Security::Tls => {
                    return Err(InvalidServer::Contradiction);
                }
                ("tls", "none") => security = Security::None,
                ("hello", name) if is_host_name(name) => hello = Some(name.to_owned()),
                _ => return Err(InvalidServer::Parameter),
            }
        }
        let host = match url.host().ok_or(InvalidServer::Form)? {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        if host.is_empty() {
            return Err(InvalidServer::Form);
        }
        let credentials = credentials(&url)?;
        if credentials.is_some() && security == Security::None && !is_this_machine(&host) {
            return Err(InvalidServer::OpenPassword);
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(port),
            security,
            credentials,
            hello,
        })
    }
}

fn credentials(url: &Url) -> Result<Option<(String, SecretString)>, InvalidServer> {
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(String::from).map_err(|_| InvalidServer::Form)
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(InvalidServer::Form),
        (_, None) => Err(InvalidServer::NoPassword),
        (user, Some(password)) => Ok(Some((decoded(user)?, decoded(password)?.into()))),
    }
}

fn is_host_name(name: &str) -> bool {
    let fit = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=255).contains(&name.len()) && name.bytes().all(fit)
}

fn is_this_machine(host: &str) -> bool {
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = self
            .credentials
            .as_ref()
            .map_or("", |_| ", with credentials");
        let Self {
            host,
            port,
            security,
            ..
        } = self;
        write!(f, "{host}:{port} ({security:?}{credentials})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const ADDRESSES: &str = "
        smtp://mail.example.com => mail.example.com:587 (StartTls)
        smtps://mail.example.com => mail.example.com:465 (Tls)
        smtp://mail.example.com:2525/?tls=none => mail.example.com:2525 (None)
        smtp://me:pass@mail.example.com => mail.example.com:587 (StartTls, with credentials)
        smtp://me:pass@localhost:1025?tls=none => localhost:1025 (None, with credentials)
        smtps://[2001:db8::1] => 2001:db8::1:465 (Tls)
        smtp://me:pass@[::1]?tls=none&hello=app.example => ::1:587 (None, with credentials)
        mail.example.com => not an address such as smtp://user:password@mail.example.com:587
        https://mail.example.com => must begin with smtp:// or smtps://
        smtp:// => not an address such as smtp://user:password@mail.example.com:587
        smtp://mail.example.com/inbox => takes no path, and no parameters but tls=none and hello=NAME
        smtp://mail.example.com?tls=maybe => takes no path, and no parameters but tls=none and hello=NAME
        smtps://mail.example.com?tls=none => smtps:// and tls=none contradict each other
        smtp://me@mail.example.com => a user name needs a password
        smtp://me:pass@mail.example.com?tls=none => a password must not go to another host without encryption (tls=none)
        smtp://mail.example.com?hello=a%0d%0aRSET => takes no path, and no parameters but tls=none and hello=NAME
    ";

    #[test]
    fn addresses() {
        for line in ADDRESSES.trim().lines() {
            let (text, expected) = line.split_once(" => ").expect("an arrow");
            let read = text.parse::<SmtpServer>();
            let shown = read.map_or_else(|error| error.to_string(), |server| format!("{server:?}"));
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded() {
        let server = "smtp://ada%40example.com:p%2Fs%C3%9F+@mail.example.com".parse();
        let server: SmtpServer = server.expect("a server");
        let (user, password) = server.credentials.expect("credentials");
        assert_eq!(
            (&*user, password.expose_secret()),
            ("ada@example.com", "p/sß+")
        );
    }
}
