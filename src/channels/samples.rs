//! Messages and addresses for the tests of the channels.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{EmailMessage, Field, Mailbox, Severity};
use crate::domain::announcement::Message;
use crate::domain::base_url::BaseUrl;

pub(super) fn message() -> Message {
    Message {
        title: "Payment failed".to_owned(),
        text: "Card declined.\n\nSecond try tomorrow.".to_owned(),
        fields: vec![field("Amount", "12.00 EUR")],
        severity: Severity::Critical,
        link_url: Some("/billing?tenant=7".to_owned()),
        data: serde_json::from_value(json!({"tenant_id": "7", "amount": 12})).expect("an object"),
    }
}

pub(super) fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

pub(super) fn app() -> BaseUrl {
    BaseUrl::parse("https://app.example.com").expect("an address")
}

pub(super) fn mailbox(text: &str) -> Mailbox {
    text.parse().expect("a mailbox")
}

/// An e-mail whose subject would like to be two headers.
pub(super) fn email() -> EmailMessage {
    let unsubscribe = "https://app.example/unsubscribe?token=abc".parse();
    EmailMessage {
        key: "email.6f9c".to_owned(),
        from: mailbox("Brücke, Ltd. <notify@example.com>"),
        reply_to: Some(mailbox("help@example.com")),
        subject: "Ada\r\nBcc: evil@example.com shared “Zähler.pdf”".to_owned(),
        text: "Hello Grace,\n.\nGrüße".to_owned(),
        html: "<p>Hello Grace,<br>Grüße</p>".to_owned(),
        unsubscribe: Some(unsubscribe.expect("an address")),
    }
}

/// A body, a line for each of its keys and each part of a list.
pub(super) fn outline(body: &Value) -> String {
    let mut outline = String::new();
    for (key, value) in body.as_object().expect("an object") {
        let parts = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for part in parts {
            let _ = writeln!(outline, "{key}: {part}");
        }
    }
    outline
}
