mod folders;
mod html;

use serde_json::json;

use super::*;
use crate::handlers::EventType;

fn app_url() -> BaseUrl {
    BaseUrl::parse("https://app.example.com").expect("an address")
}

fn templates() -> Templates {
    let preferences = "https://app.example.com/settings".to_owned();
    Templates::load(None, app_url(), Some(preferences)).expect("templates")
}

fn recipient() -> Recipient<'static> {
    samples::recipient(Some("https://app.example.com/unsubscribe/TOKEN"))
}

fn preview(templates: &Templates, name: &str) -> RenderedMail {
    let mail = templates.preview(name, &recipient(), &Rendering::default());
    mail.expect("rendered").expect("an e-mail of that name")
}

fn mail(event_type: &str, subject: &str, body_data: Value) -> QueuedMail {
    QueuedMail {
        event_type: event_type.to_owned(),
        subject: subject.to_owned(),
        body_data,
        ..samples::generic()
    }
}

fn text(mail: &QueuedMail) -> String {
    let rendered = templates().mail(mail, &recipient()).expect("rendered");
    format!("Subject: {}\n\n{}", rendered.subject, rendered.text)
}

/// The types that are mailed, and what is queued for their samples.
fn mailed() -> impl Iterator<Item = (EventType, QueuedMail)> {
    let types = EventType::ALL.iter().copied();
    types.filter_map(|known| Some((known, samples::queued(known, &Rendering::default())?)))
}

/// Only the generic templates say so.
const GENERIC_LINK: &str = "\nOpen it:\n";

/// Those of the types are in the snapshots of their handlers.
#[test]
fn mails_that_are_no_types() {
    for name in [GENERIC, DIGEST] {
        let mail = preview(&templates(), name);
        let text = format!("Subject: {}\n\n{}", mail.subject, mail.text);
        insta::assert_snapshot!(name, text);
    }
}

/// Nothing but what is required, as an older job may have written it; and without that.
#[test]
fn each_type_has_its_templates_where_its_data_has_what_they_need() {
    for (event_type, sample) in mailed() {
        let needs = event_type.mail().expect("templates").needs;
        let data = |keys: &mut dyn Iterator<Item = &&str>| {
            let pairs = keys.map(|key| ((*key).to_owned(), sample.body_data[*key].clone()));
            mail(event_type.name(), "Subject", Value::Object(pairs.collect()))
        };
        let least = text(&data(&mut needs.iter()));
        assert!(!least.contains(GENERIC_LINK), "{least}");
        for missing in needs {
            let less = text(&data(&mut needs.iter().filter(|key| *key != missing)));
            assert!(less.contains(GENERIC_LINK), "{less}");
        }
    }
}

#[test]
fn data_of_another_shape_has_generic_templates() {
    let link = "/project/workspace/1";
    for data in [
        json!(null),
        json!("text"),
        json!([1, 2]),
        json!({"link_url": link, "uploader_name": 7, "resource_name": "a.pdf"}),
        json!({"link_url": 7, "resource_name": "a.pdf"}),
        json!({"told": "text"}),
        json!({"told": {"lines": [1, "a line"], "fields": [1, {"name": "x"}]}}),
    ] {
        let is_linked = data["link_url"] == link;
        let text = text(&mail("document_uploaded", "Ada uploaded a.pdf", data));
        let start = "Subject: Ada uploaded a.pdf\n\nAda uploaded a\u{2060}.pdf\n";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains(GENERIC_LINK), "{text}");
        assert_eq!(text.contains(link), is_linked);
    }
    let odd = json!({"severity": "odd", "text": 7, "fields": [7, {"name": "Node"}, {"name": "Node", "value": "n-1"}]});
    let text = text(&mail("alert.triggered", "Subject", odd));
    let expected = "\nSeverity: odd\n\n7\n\nNode: n-1\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn unknown_types_have_generic_templates() {
    for event_type in [
        "invoice_paid",
        "layout",
        "parts",
        "digest",
        "../layout",
        "",
        "a.b",
    ] {
        let text = text(&mail(event_type, " ", json!({})));
        assert!(text.contains(GENERIC_LINK), "{text}");
        assert!(!text.starts_with("Subject: \n"), "{text}");
    }
    for (event_type, subject) in [
        ("invoice_paid", "Subject: Invoice paid\n"),
        ("invoice.paid", "Subject: Invoice paid\n"),
        (" _", "Subject: News for you\n"),
    ] {
        assert!(text(&mail(event_type, "", json!({}))).starts_with(subject));
    }
}

#[test]
fn subjects_of_digests() {
    let subject = |projects: &[Option<&str>]| {
        let mails = projects.iter().map(|project| QueuedMail {
            project_id: None,
            project_name: project.map(str::to_owned),
            ..samples::generic()
        });
        let mails: Vec<_> = mails.collect();
        let digest = Digest::new(&mails).expect("a digest");
        let rendered = templates().digest(&digest, &recipient());
        rendered.expect("rendered").subject
    };
    let (atlas, quay) = (Some("Atlas"), Some("Quay"));
    assert!(subject(&[atlas]).starts_with("Ada Okafor booked a site visit"));
    for (projects, expected) in [
        (&[atlas, atlas] as &[_], "2 updates in Atlas"),
        (&[atlas, None, quay], "3 updates in 2 projects"),
        (&[atlas, None], "2 updates"),
        (&[None, None], "2 updates"),
    ] {
        assert_eq!(subject(projects), expected);
    }
}
