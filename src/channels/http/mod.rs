//! The HTTP client of all channels, test messages included, and where it may connect to.
//!
//! The policy is applied where the connection is made, to the address that the name resolves to at
//! that moment. Redirects are not followed, proxies of the environment are not used, answers are not
//! decompressed; time and the size of an answer are limited.

mod answer;
mod exchange;
mod policy;
mod resolver;
pub(super) mod retry_after;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Cause, SendError, TlsRoots};

pub use answer::Answer;
pub use exchange::{Details, Exchange};
pub use policy::{Policy, Refused};
pub use resolver::{Lookup, system_lookup};

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

pub struct OutgoingSettings {
    pub policy: Policy,
    pub tls_roots: TlsRoots,
    /// Of an exchange as a whole, from looking up the name to the end of the answer.
    pub timeout: Duration,
    /// Of looking up, connecting and TLS.
    pub connect_timeout: Duration,
    pub lookup: Lookup,
}

impl OutgoingSettings {
    /// Public addresses by HTTPS alone, in 15 s, 5 s of them for the connection.
    pub fn new(tls_roots: TlsRoots) -> Self {
        Self {
            policy: Policy::default(),
            tls_roots,
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            lookup: system_lookup(),
        }
    }
}

/// The client that every channel shares. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Outgoing {
    client: reqwest::Client,
    policy: Arc<Policy>,
    timeout: Duration,
}

pub struct Request {
    pub method: Method,
    /// It may be a secret.
    pub url: Url,
    /// Secrets are marked as sensitive.
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Request {
    pub(super) fn json(url: Url, body: &Value) -> Self {
        Self::post(url, "application/json", body.to_string())
    }

    pub(super) fn post(url: Url, content_type: &'static str, body: String) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            method: Method::POST,
            url,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
            body: body.into_bytes(),
        }
    }

    /// Adds the key of an API.
    pub(super) fn with_bearer(self, key: &SecretString) -> Result<Self, SendError> {
        self.with_secret(AUTHORIZATION, &format!("Bearer {}", key.expose_secret()))
    }

    /// Adds a header that no log shows.
    pub(super) fn with_secret(mut self, name: HeaderName, value: &str) -> Result<Self, SendError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            let reason = "the credentials can't be sent in a header";
            SendError::permanent(Cause::Settings, reason)
        })?;
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }
}

/// An address of an API, below its base, which may have a path of its own.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[derive(Debug)]
pub enum Failure {
    /// By the policy.
    Refused(Refused),
    /// There was no connection, so nothing was sent.
    Unsent(String),
    /// At least a part of the request was sent.
    Unanswered(String),
}

impl Outgoing {
    pub fn new(settings: OutgoingSettings) -> anyhow::Result<Self> {
        // Else the end of the whole would not tell whether anything had been sent.
        ensure!(
            settings.connect_timeout < settings.timeout,
            "no client for outgoing requests: connecting has to take less time than the whole"
        );
        let unfit = |error| anyhow!("no client for outgoing requests: {error}");
        let policy = Arc::new(settings.policy);
        let tls = settings.tls_roots.client();
        let tls = tls.map_err(|error| unfit(error.to_string()))?;
        let resolver = resolver::PolicyResolver {
            policy: Arc::clone(&policy),
            lookup: settings.lookup,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .dns_resolver(resolver)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            // Whether to try again is not the client's to decide.
            .retry(retry::never())
            .connect_timeout(settings.connect_timeout)
            // A kept connection that its server is about to close costs an uncertain attempt.
            .pool_idle_timeout(Duration::from_secs(10))
            .build();
        Ok(Self {
            client: client.map_err(|error| unfit(error.to_string()))?,
            policy,
            timeout: settings.timeout,
        })
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends a request and reads the answer. Once the status has come, nothing turns the answer
    /// into a failure.
    pub async fn exchange(&self, request: Request) -> Result<Answer, Failure> {
        self.policy.check(&request.url).map_err(Failure::Refused)?;
        let deadline = Instant::now() + self.timeout;
        let sending = self
            .client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send();
        match timeout_at(deadline, sending).await {
            Ok(Ok(response)) => Ok(Answer::read(response, deadline).await),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Failure::Unanswered(format!(
                "no answer within {}",
                humantime::format_duration(self.timeout)
            ))),
        }
    }
}

/// Shows the causes only: the error itself would repeat the address, which may be a secret.
fn failure(error: &reqwest::Error) -> Failure {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return Failure::Refused(refused.clone());
        }
        causes.push(cause.to_string());
        source = cause.source();
    }
    // The innermost says what happened; the others, in which layer. (Some repeat its text.)
    let story = causes.pop().unwrap_or_else(|| error.to_string());
    let story = story.split(" (os error ").next().unwrap_or_default();
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Failure::Unsent("no connection in time".to_owned()),
        (true, false) => Failure::Unsent(format!("no connection: {story}")),
        (false, _) => Failure::Unanswered(format!("the connection broke: {story}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_may_have_a_path() {
        for (base, url) in [
            ("https://api.example.com", "https://api.example.com/v3/mail"),
            ("http://proxy.example/x/", "http://proxy.example/x/v3/mail"),
            ("http://proxy.example/x", "http://proxy.example/x/v3/mail"),
        ] {
            let base = base.parse().expect("an address");
            assert_eq!(below(&base, "v3/mail").as_str(), url);
        }
    }
}
