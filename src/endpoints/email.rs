//! E-mails to endpoints, by the templates of e-mails to people.

use serde_json::json;

use crate::channels::truncate::lines;
use crate::channels::{EmailMessage, EndpointMessage, Mailbox};
use crate::templates::{QueuedMail, Recipient, TemplateError, Templates};

/// Renders an e-mail to an operator, who chose the mailbox: there is nothing to unsubscribe from.
pub fn operator_email(
    message: &EndpointMessage<'_>,
    to: &Mailbox,
    from: &Mailbox,
    reply_to: Option<&Mailbox>,
    templates: &Templates,
) -> Result<EmailMessage, TemplateError> {
    let recipient = Recipient {
        name: to.name(),
        ..Recipient::default()
    };
    let rendered = templates.mail(&queued(message), &recipient)?;
    Ok(EmailMessage {
        key: message.key.clone(),
        from: from.clone(),
        reply_to: reply_to.cloned(),
        subject: rendered.subject,
        text: rendered.text,
        html: rendered.html,
        unsubscribe: None,
    })
}

/// As if it were queued for a person: the templates of its type apply where there are some; the
/// generic ones show what is under `told`.
fn queued(message: &EndpointMessage<'_>) -> QueuedMail {
    let content = message.message;
    let text = lines(&content.text);
    QueuedMail {
        event_type: message.event_type.to_owned(),
        subject: content.title.clone(),
        body_data: json!({
            "link_url": content.link_url,
            "severity": content.severity,
            "text": text,
            "fields": content.fields,
            "told": {
                "lines": text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>(),
                "fields": content.fields,
            },
        }),
        project_id: None,
        project_name: None,
        created_at: message.occurred_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::announcement::{Field, Message, Severity};
    use crate::domain::base_url::BaseUrl;

    /// What people wrote is neither a link nor markup.
    #[test]
    fn an_operator_email_shows_the_whole_message_as_text() {
        let app = BaseUrl::parse("https://app.example.com").expect("an address");
        let templates = Templates::load(None, app, None).expect("templates");
        let message = Message {
            title: "Payment failed".to_owned(),
            text: "Card declined.\n\nSecond try tomorrow.".to_owned(),
            fields: vec![Field {
                name: "Amount".to_owned(),
                value: "<b>12</b> https://evil.example".to_owned(),
            }],
            severity: Severity::Critical,
            link_url: Some("/billing?tenant=7".to_owned()),
            ..Message::default()
        };
        let message = EndpointMessage {
            key: "k".to_owned(),
            event_type: "payment_failed",
            occurred_at: chrono::DateTime::UNIX_EPOCH,
            message: &message,
        };
        let to = "ada@example.com".parse().expect("a mailbox");
        let email = operator_email(&message, &to, &to, None, &templates).expect("an e-mail");
        assert_eq!(email.subject, "Payment failed");
        insta::assert_snapshot!(email.text.replace('\u{2060}', "|"), @"
        Payment failed

        Severity: 🚨 Critical

        Card declined. Second try tomorrow.

        Amount: <b>12</b> https:|//evil|.example

        Take a look:
        https://app.example.com/billing?tenant=7

        ---
        You get this because this mailbox receives the operator events of
        app.example.com.
        ");
        assert!(
            email.html.contains("&lt;b&gt;12&lt;/b&gt;"),
            "{}",
            email.html
        );
    }
}
