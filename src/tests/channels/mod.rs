//! The channels against real sockets and software that is not ours. No database is needed.

mod addresses;
mod answers;
pub(crate) mod certificates;
mod emulated;
pub(crate) mod foreign;
pub(crate) mod mail;
pub(crate) mod mail_failures;
pub(crate) mod receiver;
mod signatures;

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use notify_fan_out::channels::discord::Discord;
use notify_fan_out::channels::slack::Slack;
use notify_fan_out::channels::twilio::{Credentials, Sender};
use notify_fan_out::channels::webhook::{Webhook, WebhookMethod};
use notify_fan_out::channels::{
    ChatMessage, EmailMessage, ExtraHeaders, Mailbox, Outgoing, OutgoingSettings, PhoneNumber,
    Policy, Receipt, Resend, SecretUrl, SendError, SendGrid, TlsRoots, Transport, Twilio,
    WebhookMessage, WebhookTarget,
};
use serde_json::json;

/// What must be found in no error and no answer.
const SECRETS: [&str; 6] = [
    "re_S3cretKey",
    "SG.S3cretKey",
    "tw1lioS3cret",
    "T0kenOfTheRoom",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "Bearer 0fTheTenant",
];

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// A client that may reach this machine, and does not wait long.
fn local() -> OutgoingSettings {
    OutgoingSettings {
        policy: Policy {
            allowed: vec!["127.0.0.0/8".parse().expect("a network")],
            plain_http: true,
        },
        timeout: Duration::from_millis(1_500),
        connect_timeout: Duration::from_secs(1),
        ..OutgoingSettings::new(TlsRoots::default())
    }
}

fn outgoing(settings: OutgoingSettings) -> Outgoing {
    Outgoing::new(settings).expect("a client")
}

fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

fn email() -> EmailMessage {
    EmailMessage {
        key: "email.6f9c".to_owned(),
        from: mailbox("Brücke <notify@example.com>"),
        reply_to: Some(mailbox("help@example.com")),
        subject: "Ada shared “Zähler.pdf”".to_owned(),
        text: "Hello Grace,\n.\n..\nGrüße".to_owned(),
        html: "<p>Hello Grace,<br>Grüße</p>".to_owned(),
        unsubscribe: Some(
            "https://app.example/unsubscribe?token=abc"
                .parse()
                .expect("an address"),
        ),
    }
}

fn chat() -> ChatMessage {
    ChatMessage {
        title: "Payment failed".to_owned(),
        text: "<!channel> & @everyone".to_owned(),
        ..ChatMessage::default()
    }
}

fn event() -> WebhookMessage {
    WebhookMessage {
        key: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
        event_type: "payment_failed".to_owned(),
        occurred_at: "2026-11-21T10:00:00Z".parse().expect("a time"),
        data: json!({ "tenant": "Brücke", "amount": 12 }),
    }
}

fn webhook_target(url: &str) -> WebhookTarget {
    let headers = [("authorization", "Bearer 0fTheTenant".into())];
    WebhookTarget {
        url: url.parse().expect("an address"),
        secrets: vec![SECRETS[4].parse().expect("a secret")],
        headers: ExtraHeaders::new(headers).expect("headers"),
        method: WebhookMethod::Post,
    }
}

fn twilio(base: &str) -> Twilio {
    Twilio {
        account: "AC00000000000000000000000000000000".to_owned(),
        credentials: Credentials::AuthToken(SECRETS[2].into()),
        sender: Sender::Number("+15551234567".parse().expect("a number")),
        base: base.parse().expect("an address"),
    }
}

fn resend(base: &str) -> Resend {
    Resend {
        api_key: SECRETS[0].into(),
        base: base.parse().expect("an address"),
    }
}

fn phone() -> PhoneNumber {
    "+4915112345678".parse().expect("a number")
}

/// One attempt by a transport that speaks HTTP, at a server that stands for all of them.
async fn attempt(transport: &str, outgoing: &Outgoing, base: &str) -> Result<Receipt, SendError> {
    let room: SecretUrl = format!("{base}services/T1/{}", SECRETS[3])
        .parse()
        .expect("an address");
    let grace = mailbox("Grace <grace@example.org>");
    let now = now();
    match transport {
        "resend" => resend(base).send(outgoing, &grace, &email(), now).await,
        "sendgrid" => {
            let sendgrid = SendGrid {
                api_key: SECRETS[1].into(),
                base: base.parse().expect("an address"),
            };
            sendgrid.send(outgoing, &grace, &email(), now).await
        }
        "twilio" => {
            let twilio = twilio(base);
            twilio.send(outgoing, &phone(), "Paid: 12 €", now).await
        }
        "slack" => Slack.send(outgoing, &room, &chat(), now).await,
        "discord" => Discord.send(outgoing, &room, &chat(), now).await,
        _ => {
            let target = webhook_target(&format!("{base}hooks/1"));
            Webhook.send(outgoing, &target, &event(), now).await
        }
    }
}

/// The transports that speak HTTP.
const OVER_HTTP: [&str; 6] = [
    "resend", "sendgrid", "twilio", "slack", "discord", "webhook",
];
