//! Webhooks: signed JSON to a program of the receiver's (Standard Webhooks 1.0).

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::destination::{Settings, Target};
use super::http::{Outgoing, Request, secret_header};
use super::redact::Redactor;
use super::signature::{SigningSecret, signatures};
use super::transport::{HttpTransport, link};
use super::{
    ChannelSpec, DeliveryKey, EndpointMessage, ExtraHeaders, InvalidSettings, NotSent, Receipt,
    SecretUrl, SendError, Transport, Transports, Uncertain,
};
use crate::domain::base_url::BaseUrl;

#[derive(Debug, Clone)]
pub struct Webhook {
    pub outgoing: Outgoing,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be POST or PUT")]
pub struct UnknownMethod;

impl FromStr for WebhookMethod {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        [Self::Post, Self::Put]
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or(UnknownMethod)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct WebhookMessage {
    pub key: DeliveryKey,
    pub event_type: String,
    pub occurred_at: DateTime<Utc>,
    pub data: Value,
}

impl WebhookMessage {
    /// The particulars as the event has them, and under `summary` what people are shown.
    pub fn new(message: &EndpointMessage<'_>, app_url: Option<&BaseUrl>) -> Self {
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
    fn body(&self) -> Vec<u8> {
        let at = self
            .occurred_at
            .to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let body = json!({ "type": self.event_type, "timestamp": at, "data": self.data });
        body.to_string().into_bytes()
    }
}

impl ChannelSpec for Webhook {
    type Target = WebhookTarget;

    const NAME: &'static str = "webhook";
    const MESSAGES: &'static str = "webhooks";
    // Receivers recognise the same `webhook-id`.
    const UNCERTAIN: Uncertain = Uncertain::Resend;

    async fn send(
        target: &WebhookTarget,
        transports: &Transports<'_>,
        message: &EndpointMessage<'_>,
        now: DateTime<Utc>,
    ) -> Result<Receipt, NotSent> {
        let outgoing = transports.outgoing.clone();
        let message = WebhookMessage::new(message, transports.app_url);
        Ok(Self { outgoing }.send(target, &message, now).await?)
    }
}

impl HttpTransport for Webhook {
    type Target = WebhookTarget;
    type Message = WebhookMessage;

    const NAME: &'static str = <Self as ChannelSpec>::NAME;
    const GONE: &'static [u16] = &[410];

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn redactor(&self, target: &WebhookTarget) -> Redactor {
        target.redactor()
    }

    fn request(
        &self,
        target: &WebhookTarget,
        message: &WebhookMessage,
        now: DateTime<Utc>,
    ) -> Result<Request, SendError> {
        let body = message.body();
        Ok(Request {
            method: match target.method {
                WebhookMethod::Post => Method::POST,
                WebhookMethod::Put => Method::PUT,
            },
            url: target.url.expose().clone(),
            headers: headers(target, message, now, &body)?,
            body,
        })
    }
}

impl fmt::Display for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Target for WebhookTarget {
    const OPTION: &'static str = SecretUrl::OPTION;
    const WHAT: &'static str = "URL, with signing secrets, headers and method";
    const EXAMPLE: &'static str = SecretUrl::EXAMPLE;

    fn from_text(text: &str) -> Result<Self, InvalidSettings> {
        Ok(Self {
            url: SecretUrl::from_text(text)?,
            secrets: Vec::new(),
            headers: ExtraHeaders::default(),
            method: WebhookMethod::default(),
        })
    }

    fn from_settings(settings: Settings) -> Result<Self, InvalidSettings> {
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
        let headers = self.headers.expose();
        Settings {
            secrets: secrets.map(|secret| secret.reveal().to_string()).collect(),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            method: Some(self.method.name().to_owned()),
            ..self.url.settings()
        }
    }

    fn url(&self) -> Option<&Url> {
        Some(self.url.expose())
    }
}

impl WebhookTarget {
    fn redactor(&self) -> Redactor {
        let mut redactor = self.url.redactor();
        for secret in &self.secrets {
            redactor = redactor.hiding(&secret.reveal());
        }
        for (_, value) in &self.headers.0 {
            redactor = redactor.hiding(value.expose_secret());
            // `Bearer` and the like are no secrets, what follows is.
            if let Some((_, credentials)) = value.expose_secret().split_once(' ') {
                redactor = redactor.hiding(credentials);
            }
        }
        redactor
    }
}

fn headers(
    target: &WebhookTarget,
    message: &WebhookMessage,
    now: DateTime<Utc>,
    body: &[u8],
) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &target.headers.0 {
        headers.append(name, secret_header(value.expose_secret())?);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-timestamp", now.timestamp().into());
    let id = message.key.as_str();
    headers.insert("webhook-id", secret_header(id)?);
    if !target.secrets.is_empty() {
        let signatures = signatures(&target.secrets, id, now, body);
        headers.insert("webhook-signature", secret_header(&signatures)?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> WebhookTarget {
        let headers = [
            ("X-Tenant", "acme-1".into()),
            ("authorization", "Bearer t0p-secret".into()),
        ];
        WebhookTarget {
            url: "https://example.com/hooks/4711?key=abcdef"
                .parse()
                .expect("an address"),
            secrets: vec![
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
                    .parse()
                    .expect("a secret"),
            ],
            headers: ExtraHeaders::new(headers).expect("headers"),
            method: WebhookMethod::Put,
        }
    }

    #[test]
    fn request() {
        let message = WebhookMessage {
            key: "msg_1".parse().expect("a key"),
            event_type: "document_uploaded".to_owned(),
            occurred_at: "2026-11-21T10:00:00.5Z".parse().expect("a time"),
            data: json!({ "document": "Zähler.pdf" }),
        };
        let body = message.body();
        insta::assert_snapshot!(String::from_utf8_lossy(&body), @r#"{"data":{"document":"Zähler.pdf"},"timestamp":"2026-11-21T10:00:00.500Z","type":"document_uploaded"}"#);
        let now = "2026-11-21T10:00:07Z".parse().expect("a time");
        let headers = headers(&target(), &message, now, &body).expect("headers");
        let mut lines: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"), @"
        authorization: Bearer t0p-secret
        content-type: application/json
        webhook-id: msg_1
        webhook-signature: v1,iATWqrAvcJSaInWro9PWNLJugl9dcW/Q2uQnvxKrz3Q=
        webhook-timestamp: 1795255207
        x-tenant: acme-1
        ");
    }

    #[test]
    fn the_body_has_the_data_of_the_event_and_a_summary() {
        let mut content = crate::channels::transport::tests::message();
        let rendered = |content: &crate::domain::announcement::Message| {
            let message = EndpointMessage {
                key: "k".parse().expect("a key"),
                event_type: "payment_failed",
                occurred_at: DateTime::UNIX_EPOCH,
                message: content,
            };
            WebhookMessage::new(&message, Some(&crate::channels::transport::tests::app())).data
        };
        insta::assert_json_snapshot!(rendered(&content), @r#"
        {
          "amount": 12,
          "summary": {
            "link": "https://app.example.com/billing?tenant=7",
            "severity": "critical",
            "text": "Card declined.\n\nSecond try tomorrow.",
            "title": "Payment failed"
          },
          "tenant_id": "7"
        }
        "#);
        content
            .data
            .insert("summary".to_owned(), "the event's own".into());
        assert_eq!(rendered(&content)["summary"], "the event's own");
    }

    #[test]
    fn nothing_secret_is_shown() {
        insta::assert_snapshot!(format!("{:?}", target()), @r#"WebhookTarget { url: https://example.com/…, secrets: [whsec_…], headers: ["x-tenant", "authorization"], method: Put }"#);
        let text = "401: Bearer t0p-secret for /hooks/4711?key=abcdef, or t0p-secret";
        insta::assert_snapshot!(target().redactor().redact(text), @"401: ••• for /•••?•••, or •••");
    }

    #[test]
    fn methods() {
        for method in [WebhookMethod::Post, WebhookMethod::Put] {
            assert_eq!(method.name().parse(), Ok(method));
        }
        assert_eq!("GET".parse::<WebhookMethod>(), Err(UnknownMethod));
    }
}
