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
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, redirect, retry};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::TlsRoots;

pub use answer::Answer;
pub use exchange::{Details, Exchange, below, secret_header};
pub use policy::{Policy, Refused};
pub use resolver::{Lookup, system_lookup};

#[derive(Clone)]
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

impl fmt::Debug for OutgoingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingSettings")
            .field("policy", &self.policy)
            .field("tls_roots", &self.tls_roots)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
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
    /// A POST of JSON.
    pub fn json(url: Url, body: &Value) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self {
            method: Method::POST,
            url,
            headers,
            body: body.to_string().into_bytes(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// By the policy.
    #[error(transparent)]
    Refused(Refused),
    /// There was no connection, so nothing was sent.
    #[error("{0}")]
    Unsent(String),
    /// At least a part of the request was sent.
    #[error("{0}")]
    Unanswered(String),
}

#[derive(Debug, thiserror::Error)]
#[error("no client for outgoing requests: {0}")]
pub struct NoClient(String);

impl Outgoing {
    pub fn new(settings: OutgoingSettings) -> Result<Self, NoClient> {
        let unfit = |error: &dyn std::error::Error| NoClient(error.to_string());
        if settings.connect_timeout >= settings.timeout {
            // Else the end of the whole would not tell whether anything had been sent.
            return Err(NoClient(
                "the connection has to take less time than the whole".to_owned(),
            ));
        }
        let policy = Arc::new(settings.policy);
        let tls = settings.tls_roots.client().map_err(|error| unfit(&error))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .dns_resolver(resolver::PolicyResolver::new(
                Arc::clone(&policy),
                settings.lookup,
            ))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            // Whether to try again is not the client's to decide.
            .retry(retry::never())
            .connect_timeout(settings.connect_timeout)
            // A kept connection that its server is about to close costs an uncertain attempt.
            .pool_idle_timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| unfit(&error))?;
        Ok(Self {
            client,
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
    let story = match story.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => story,
    };
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Failure::Unsent("no connection in time".to_owned()),
        (true, false) => Failure::Unsent(format!("no connection: {story}")),
        (false, _) => Failure::Unanswered(format!("the connection broke: {story}")),
    }
}
