//! Slack, Resend and Twilio as the package `emulate` plays them: servers that were written by
//! others, from the providers' documentation.

use notify_fan_out::channels::http::Request;
use notify_fan_out::channels::slack::Slack;
use notify_fan_out::channels::twilio::Credentials;
use notify_fan_out::channels::{
    AttemptOutcome, Cause, ChatMessage, EmailMessage, Field, Outgoing, SecretUrl, Severity,
    Transport, Twilio,
};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use super::foreign::{Foreign, from_environment};
use super::{chat, email, local, mailbox, now, outgoing, phone, resend, twilio};

struct Emulated {
    _program: Foreign,
    addresses: Value,
    outgoing: Outgoing,
}

impl Emulated {
    async fn start() -> Self {
        let folder = from_environment("TEST_EMULATE");
        let mut program = Foreign::start("TEST_NODE", "emulate.mjs", &[&folder]);
        Self {
            addresses: program.next().await,
            _program: program,
            outgoing: outgoing(local()),
        }
    }

    fn base(&self, service: &str) -> &str {
        self.addresses[service].as_str().expect("an address")
    }

    /// What the service shows of itself.
    async fn look(&self, service: &str, path: &str, authorization: &'static str) -> Value {
        self.ask(Method::GET, service, path, authorization, "")
            .await
    }

    async fn ask(
        &self,
        method: Method,
        service: &str,
        path: &str,
        authorization: &'static str,
        form: &str,
    ) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(authorization));
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, kind);
        let url = format!("{}{path}", self.base(service));
        let request = Request {
            method,
            url: url.parse().expect("an address"),
            headers,
            body: form.as_bytes().to_vec(),
        };
        let answer = self.outgoing.exchange(request).await.expect("an answer");
        let shown = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{shown}");
        answer.json()
    }
}

#[tokio::test]
async fn resend_takes_each_mail_once() {
    let emulated = Emulated::start().await;
    let outgoing = &emulated.outgoing;
    let channel = resend(emulated.base("resend"));
    let grace = mailbox("Grace Ünsal <grace@example.org>");
    let first = channel.send(outgoing, &grace, &email(), now()).await;
    let first = first.expect("a receipt");
    let id = first.provider_id.clone().expect("a name");

    // The answer was lost, say: the same mail again is the same mail.
    let again = channel.send(outgoing, &grace, &email(), now()).await;
    assert_eq!(again.expect("a receipt").provider_id, first.provider_id);
    // Another mail under its name is refused for good.
    let other = EmailMessage {
        subject: "Something else".to_owned(),
        ..email()
    };
    let conflict = channel.send(outgoing, &grace, &other, now()).await;
    let conflict = conflict.expect_err("a conflict");
    let cause = Cause::Message;
    assert_eq!(conflict.outcome, AttemptOutcome::Permanent { cause });
    assert_eq!(conflict.code.as_deref(), Some("invalid_idempotent_request"));

    let all = emulated.look("resend", "emails", "Bearer re_test").await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(1));
    let mut mail = emulated
        .look("resend", &format!("emails/{id}"), "Bearer re_test")
        .await;
    // What it makes up itself, and what no mail of ours has.
    let mail = mail.as_object_mut().expect("a mail");
    for other in [
        "id",
        "created_at",
        "bcc",
        "cc",
        "last_event",
        "object",
        "scheduled_at",
        "tags",
    ] {
        mail.remove(other);
    }
    insta::assert_json_snapshot!(mail, @r#"
        {
          "from": "Brücke <notify@example.com>",
          "headers": {
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": "<https://app.example/unsubscribe?token=abc>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Message-ID": "<email.6f9c@example.com>"
          },
          "html": "<p>Hello Grace,<br>Grüße</p>",
          "reply_to": [
            "help@example.com"
          ],
          "status": "delivered",
          "subject": "Ada shared “Zähler.pdf”",
          "text": "Hello Grace,\n.\n..\nGrüße",
          "to": [
            "Grace Ünsal <grace@example.org>"
          ]
        }
        "#);
}

#[tokio::test]
async fn slack_shows_the_message() {
    let emulated = Emulated::start().await;
    let message = ChatMessage {
        fields: vec![Field {
            name: "Amount".to_owned(),
            value: "€ 12.00 <!here>".to_owned(),
        }],
        severity: Severity::Critical,
        link: "https://app.example/?a=1&b=2".parse().ok(),
        ..chat()
    };
    let base = emulated.base("slack");
    let room: SecretUrl = format!("{base}services/T000000001/B000000001/X000000001")
        .parse()
        .expect("an address");
    let receipt = Slack.send(&emulated.outgoing, &room, &message, now()).await;
    assert_eq!(receipt.expect("a receipt").answer, "ok");

    let token = "Bearer xoxb-test";
    let ask = async |path, form: &str| emulated.ask(Method::POST, "slack", path, token, form).await;
    let channels = ask("api/conversations.list", "").await;
    let channels = channels["channels"].as_array().expect("channels");
    let general = channels.iter().find(|channel| channel["name"] == "general");
    let id = general
        .and_then(|channel| channel["id"].as_str())
        .expect("a channel");
    let history = ask("api/conversations.history", &format!("channel={id}")).await;
    let shown = &history["messages"][0];
    let messages = history["messages"].as_array().map(Vec::len);
    assert_eq!(messages, Some(1), "{history}");
    assert_eq!(
        shown["text"],
        "🚨 Payment failed\n&lt;!channel&gt; &amp; @everyone"
    );
    let blocks = shown["blocks"].as_array().expect("blocks").iter();
    let types: Vec<_> = blocks.map(|block| &block["type"]).collect();
    assert_eq!(types, ["header", "section", "section", "section"]);
}

#[tokio::test]
async fn twilio_takes_the_message() {
    let emulated = Emulated::start().await;
    let outgoing = &emulated.outgoing;
    let channel = Twilio {
        credentials: Credentials::AuthToken("twilio_test_auth_token".into()),
        ..twilio(emulated.base("twilio"))
    };
    let message = "Paid: 12 € & more";
    let receipt = channel.send(outgoing, &phone(), message, now()).await;
    let receipt = receipt.expect("a receipt");
    assert_eq!(receipt.status, 201);
    let sid = receipt.provider_id.expect("a name");
    let account = &channel.account;
    let path = format!("2010-04-01/Accounts/{account}/Messages/{sid}.json");
    // The account and its token, as HTTP has them.
    let basic =
        "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDp0d2lsaW9fdGVzdF9hdXRoX3Rva2Vu";
    let shown = emulated.look("twilio", &path, basic).await;
    assert_eq!(shown["body"], message);
    assert_eq!(
        [&shown["to"], &shown["from"]],
        ["+4915112345678", "+15551234567"]
    );

    let intruder = twilio(emulated.base("twilio"));
    let error = intruder.send(outgoing, &phone(), message, now()).await;
    let error = error.expect_err("a refusal");
    let cause = Cause::Settings;
    let outcome = AttemptOutcome::Permanent { cause };
    assert_eq!((error.outcome, error.status), (outcome, Some(401)));
}
