//! Webhooks: signed JSON to a program of the receiver's (Standard Webhooks 1.0).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::destination::{Settings, Target, TargetSpec};
use super::http::Request;
use super::redact::Redactor;
use super::signature::{SigningSecret, signatures};
use super::transport::link;
use super::{
    ChannelSpec, EndpointMessage, ExtraHeaders, InvalidTarget, NotSent, Receipt, SecretUrl,
    SendError, Spec, Transport, Transports, Uncertain,
};
use crate::domain::base_url::BaseUrl;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

#[derive(Debug)]
pub struct Webhook;

#[derive(Debug, Clone)]
pub struct WebhookTarget {
    pub url: SecretUrl,
    /// The newest first, then those that the receiver may still use. Without any, messages are not
    /// signed.
    pub secrets: Vec<SigningSecret>,
    pub headers: ExtraHeaders,
    pub method: WebhookMethod,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookMethod {
    #[default]
    Post,
    /// For receivers that store.
    Put,
}

impl WebhookMethod {
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl FromStr for WebhookMethod {
    type Err = InvalidTarget;

    fn from_str(name: &str) -> Result<Self, InvalidTarget> {
        match name {
            "POST" => Ok(Self::Post),
            "PUT" => Ok(Self::Put),
            _ => Err(InvalidTarget::Method),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct WebhookMessage {
    pub key: String,
    pub event_type: String,
    pub occurred_at: DateTime<Utc>,
    pub data: Value,
}

impl WebhookMessage {
    /// The particulars as the event has them, and under `summary` what people are shown.
    fn new(message: &EndpointMessage<'_>, app_url: Option<&BaseUrl>) -> Self {
        let content = message.message;
        let mut data = content.data.clone();
        // An event's own key of that name wins.
        data.entry("summary").or_insert_with(|| {
            json!({
                "title": content.title,
                "text": content.text,
                "severity": content.severity,
                "link": link(content, app_url),
            })
        });
        Self {
            key: message.key.clone(),
            event_type: message.event_type.to_owned(),
            occurred_at: message.occurred_at,
            data: Value::Object(data),
        }
    }

    /// The body: `type`, `timestamp` and `data`, as the standard recommends.
    fn body(&self) -> Value {
        let at = self.occurred_at;
        let at = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        json!({ "type": self.event_type, "timestamp": at, "data": self.data })
    }
}

impl ChannelSpec for Webhook {
    type Target = WebhookTarget;

    const SPEC: Spec = Spec {
        target: TargetSpec {
            what: "URL, with signing secrets, headers and method",
            ..SecretUrl::SPEC
        },
        // Receivers recognise the same `webhook-id`.
        uncertain: Uncertain::Resend,
        ..Spec::chat("webhook", "webhooks")
    };

    async fn attempt(
        target: &WebhookTarget,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let message = WebhookMessage::new(message, transports.app_url);
        Ok(Self
            .send(transports.outgoing, target, &message, now)
            .await?)
    }
}

impl Transport for Webhook {
    type Target = WebhookTarget;
    type Message = WebhookMessage;

    const NAME: &'static str = Self::SPEC.name;
    const GONE: &'static [u16] = &[410];

    fn redactor(&self, target: &WebhookTarget) -> Redactor {
        let mut redactor = target.url.redactor();
        for secret in &target.secrets {
            redactor = redactor.hiding(&secret.reveal());
        }
        for (_, value) in &target.headers.0 {
            redactor = redactor.hiding(value.expose_secret());
            // `Bearer` and the like are no secrets, what follows is.
            if let Some((_, credentials)) = value.expose_secret().split_once(' ') {
                redactor = redactor.hiding(credentials);
            }
        }
        redactor
    }

    fn request(
        &self,
        target: &WebhookTarget,
        message: &WebhookMessage,
        now: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        let mut request = Request::json(target.url.expose().clone(), &message.body());
        request.method = match target.method {
            WebhookMethod::Post => Method::POST,
            WebhookMethod::Put => Method::PUT,
        };
        for (name, value) in &target.headers.0 {
            request = request.with_secret(name.clone(), value.expose_secret())?;
        }
        request.headers.insert(TIMESTAMP, now.timestamp().into());
        if !target.secrets.is_empty() {
            let signatures = signatures(&target.secrets, &message.key, now, &request.body);
            request = request.with_secret(SIGNATURE, &signatures)?;
        }
        request.with_secret(ID, &message.key)
    }
}

impl fmt::Display for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl FromStr for WebhookTarget {
    type Err = InvalidTarget;

    fn from_str(url: &str) -> Result<Self, InvalidTarget> {
        Ok(Self {
            url: url.parse()?,
            secrets: Vec::new(),
            headers: ExtraHeaders::default(),
            method: WebhookMethod::default(),
        })
    }
}

impl Target for WebhookTarget {
    fn from_settings(settings: Settings) -> Result<Self, InvalidTarget> {
        let secrets = settings.secrets.iter().map(|secret| secret.parse());
        let headers = settings.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str().into()));
        let method = settings.method.as_deref().map(str::parse).transpose()?;
        Ok(Self {
            secrets: secrets.collect::<Result<_, _>>()?,
            headers: ExtraHeaders::new(headers)?,
            method: method.unwrap_or_default(),
            url: SecretUrl::from_settings(settings)?,
        })
    }

    fn settings(&self) -> Settings {
        let secrets = self.secrets.iter();
        let headers = self.headers.0.iter();
        let header = |(name, value): &(HeaderName, SecretString)| {
            (name.to_string(), value.expose_secret().to_owned())
        };
        Settings {
            secrets: secrets.map(|secret| secret.reveal().to_string()).collect(),
            headers: headers.map(header).collect(),
            method: Some(self.method.name().to_owned()),
            ..self.url.settings()
        }
    }

    fn url(&self) -> Option<&Url> {
        Some(self.url.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::samples::{app, message};

    #[test]
    fn the_body_has_the_data_of_the_event_and_a_summary() {
        let mut content = message();
        let body = |content: &_| {
            let message = EndpointMessage {
                key: "k".to_owned(),
                event_type: "payment_failed",
                occurred_at: "2026-11-21T10:00:00.5Z".parse().expect("a time"),
                message: content,
            };
            WebhookMessage::new(&message, Some(&app())).body()
        };
        insta::assert_json_snapshot!(body(&content), @r#"
        {
          "data": {
            "amount": 12,
            "summary": {
              "link": "https://app.example.com/billing?tenant=7",
              "severity": "critical",
              "text": "Card declined.\n\nSecond try tomorrow.",
              "title": "Payment failed"
            },
            "tenant_id": "7"
          },
          "timestamp": "2026-11-21T10:00:00.500Z",
          "type": "payment_failed"
        }
        "#);
        let own = "the event's own";
        content.data.insert("summary".to_owned(), own.into());
        assert_eq!(body(&content)["data"]["summary"], own);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let mut target: WebhookTarget = "https://example.com/hooks/4711?key=abcdef"
            .parse()
            .expect("one");
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        target.secrets = vec![secret.parse().expect("a secret")];
        let headers = [("authorization", "Bearer t0p-secret".into())];
        target.headers = ExtraHeaders::new(headers).expect("headers");
        insta::assert_snapshot!(format!("{target:?}"), @r#"WebhookTarget { url: https://example.com/…, secrets: [whsec_…], headers: ["authorization"], method: Post }"#);
        let text =
            format!("401: Bearer t0p-secret for /hooks/4711?key=abcdef, {secret}, t0p-secret");
        assert_eq!(
            Webhook.redactor(&target).redact(&text),
            "401: ••• for /•••?•••, •••, •••"
        );
    }
}
