//! Signatures, verified by the library that the standard recommends to receivers.

use chrono::{DateTime, TimeDelta, Utc};
use notify_fan_out::channels::signature::SigningSecret;
use notify_fan_out::channels::webhook::{Webhook, WebhookMethod};
use notify_fan_out::channels::{Transport, WebhookTarget};
use serde_json::{Value, json};

use super::foreign::Foreign;
use super::receiver::{Receiver, Request, status};
use super::{SECRETS, event, local, now, outgoing, webhook_target};

/// What arrives of one attempt, signed with these secrets at this time.
async fn sent(secrets: &[&str], method: WebhookMethod, at: DateTime<Utc>) -> Request {
    let receiver = Receiver::start(|_| status(204)).await;
    let target = WebhookTarget {
        secrets: secrets
            .iter()
            .map(|secret| secret.parse().expect("a secret"))
            .collect(),
        method,
        ..webhook_target(&format!("{}hooks/1?tenant=2", receiver.base()))
    };
    let webhook = Webhook {
        outgoing: outgoing(local()),
    };
    webhook
        .send(&target, &event(), at)
        .await
        .expect("a receipt");
    receiver.requests().remove(0)
}

fn question(secret: &str, request: &Request) -> Value {
    let body = String::from_utf8(request.body.clone()).expect("a text");
    json!({ "secret": secret, "headers": request.headers, "body": body })
}

#[tokio::test]
async fn verified_rotated_and_tampered_with() {
    let mut library = Foreign::start("TEST_PYTHON", "verify.py", &[]);
    let old = SECRETS[4];
    let new = SigningSecret::from_bytes(&[9; 64])
        .expect("a secret")
        .reveal();
    let expected = json!({ "verified": {
        "type": "payment_failed",
        "timestamp": "2026-11-21T10:00:00Z",
        "data": { "tenant": "Brücke", "amount": 12 },
    } });

    // A receiver may go over from the old secret to the new one whenever it likes.
    let both = sent(&[&new, old], WebhookMethod::Put, now()).await;
    assert_eq!(
        (both.method.as_str(), both.path.as_str()),
        ("PUT", "/hooks/1?tenant=2")
    );
    for secret in [old, &new] {
        assert_eq!(library.ask(&question(secret, &both)).await, expected);
    }
    // Once the old one is no longer given, it is no longer of use.
    let rotated = sent(&[&new], WebhookMethod::Post, now()).await;
    assert_eq!(rotated.method, "POST");
    assert_eq!(library.ask(&question(&new, &rotated)).await, expected);
    let unmatched = json!({ "refused": "No matching signature found" });
    assert_eq!(library.ask(&question(old, &rotated)).await, unmatched);

    // Body, name and time are all signed.
    let mut tampered = question(&new, &rotated);
    tampered["body"] = tampered["body"]
        .as_str()
        .expect("a body")
        .replace("12", "13")
        .into();
    assert_eq!(library.ask(&tampered).await, unmatched);
    let mut renamed = question(&new, &rotated);
    renamed["headers"]["webhook-id"] = "msg_other".into();
    assert_eq!(library.ask(&renamed).await, unmatched);
    let mut retimed = question(&new, &rotated);
    retimed["headers"]["webhook-timestamp"] = (now().timestamp() - 9).to_string().into();
    assert_eq!(library.ask(&retimed).await, unmatched);

    // What was recorded can't be played again later.
    let stale = sent(&[&new], WebhookMethod::Post, now() - TimeDelta::minutes(6)).await;
    assert_eq!(
        library.ask(&question(&new, &stale)).await,
        json!({ "refused": "Message timestamp too old" })
    );
}

/// Another attempt has the same name and another time.
#[tokio::test]
async fn attempts_share_the_name() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
    let first = sent(&[SECRETS[4]], WebhookMethod::Post, at(1_614_265_330)).await;
    let second = sent(&[SECRETS[4]], WebhookMethod::Post, at(1_614_265_630)).await;
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    assert_eq!(first.body, second.body);
    assert_eq!(second.headers["webhook-timestamp"], "1614265630");
    assert_ne!(
        first.headers["webhook-signature"],
        second.headers["webhook-signature"]
    );
}
