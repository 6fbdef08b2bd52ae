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
    let outgoing = outgoing(local());
    let sent = Webhook.send(&outgoing, &target, &event(), at).await;
    sent.expect("a receipt");
    receiver.requests().remove(0)
}

fn question(secret: &str, request: &Request) -> Value {
    let body = String::from_utf8(request.body.clone()).expect("a text");
    json!({ "secret": secret, "headers": request.headers, "body": body })
}

#[tokio::test]
async fn the_published_library_verifies_what_is_sent_and_nothing_else() {
    let mut library = Foreign::start("TEST_PYTHON", "verify.py", &[]);
    let old = SECRETS[4];
    let new = SigningSecret::from_bytes(&[9; 64])
        .expect("a secret")
        .reveal();
    let both = sent(&[&new, old], WebhookMethod::Put, now()).await;
    assert_eq!((&*both.method, &*both.path), ("PUT", "/hooks/1?tenant=2"));
    let rotated = sent(&[&new], WebhookMethod::Post, now()).await;
    assert_eq!(rotated.method, "POST");
    // A receiver may go over from the old secret to the new one whenever it likes.
    let good = [
        question(old, &both),
        question(&new, &both),
        question(&new, &rotated),
    ];
    let expected = json!({ "verified": {
        "type": "payment_failed",
        "timestamp": "2026-11-21T10:00:00Z",
        "data": { "tenant": "Brücke", "amount": 12 },
    } });
    for question in &good {
        assert_eq!(library.ask(question).await, expected);
    }
    // Once the old secret is no longer given, it is no longer of use; and body, name and time are all
    // signed.
    let [.., good] = good;
    let changed = |part: &str, header: &str, value: String| {
        let mut question = good.clone();
        let changed = match header {
            "" => &mut question[part],
            _ => &mut question[part][header],
        };
        *changed = value.into();
        question
    };
    let body = good["body"].as_str().expect("a body").replace("12", "13");
    let time = (now().timestamp() - 9).to_string();
    for question in [
        question(old, &rotated),
        changed("body", "", body),
        changed("headers", "webhook-id", "msg_other".to_owned()),
        changed("headers", "webhook-timestamp", time),
    ] {
        let unmatched = json!({ "refused": "No matching signature found" });
        assert_eq!(library.ask(&question).await, unmatched);
    }
    // What was recorded can't be played again later.
    let stale = sent(&[&new], WebhookMethod::Post, now() - TimeDelta::minutes(6)).await;
    let too_old = json!({ "refused": "Message timestamp too old" });
    assert_eq!(library.ask(&question(&new, &stale)).await, too_old);
}

/// Another attempt has the same name and another time.
#[tokio::test]
async fn attempts_share_the_name() {
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
    let first = sent(&[SECRETS[4]], WebhookMethod::Post, at(1_614_265_330)).await;
    let second = sent(&[SECRETS[4]], WebhookMethod::Post, at(1_614_265_630)).await;
    assert_eq!(first.body, second.body);
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    let signature = "webhook-signature";
    assert_ne!(first.headers[signature], second.headers[signature]);
    assert_eq!(second.headers["webhook-timestamp"], "1614265630");
}
