//! Templates of a folder, in the place of the binary's or besides them.

use std::path::Path;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Result<Templates, String> {
    Templates::load(Some(folder.path()), app_url(), None).map_err(|error| {
        let text = error.to_string();
        text.replace(&folder.path().display().to_string(), "FOLDER")
    })
}

fn problem(name: &str, content: &str) -> String {
    load(&folder(&[(name, content)])).expect_err("a template that is wrong")
}

#[test]
fn take_the_place_of_single_files() {
    let subject = "Neu: {{ data.resource_name }}\n";
    let text = "Hallo {{ reader }},\n{{ data.resource_name }}";
    let folder = folder(&[
        ("document_uploaded.subject", subject),
        ("document_uploaded.txt", text),
        ("README.md", "{% nonsense"),
        (".hidden.html", "{% nonsense"),
    ]);
    let templates = load(&folder).expect("templates");
    let mail = preview(&templates, "document_uploaded");
    assert_eq!(mail.subject, "Neu: Appraisal report (final).pdf");
    let text = "Hallo Bruno Keller,\nAppraisal report (final).pdf\n";
    assert_eq!(mail.text, text);
    assert!(mail.html.contains("Open the document"));
    let overridden = templates.overridden("document_uploaded");
    assert_eq!(overridden, [Part::Subject, Part::Text]);
    assert_eq!(templates.overridden("invite_accepted"), []);
}

#[test]
fn stand_for_one_operator_event_or_for_all() {
    let folder = folder(&[
        ("operator.txt", "All: {{ subject }}"),
        ("payment_failed.txt", "Mine: {{ data.severity }}"),
    ]);
    let templates = load(&folder).expect("templates");
    let text = |name| preview(&templates, name).text;
    assert_eq!(text("payment_failed"), "Mine: critical\n");
    assert!(text("node_launched").starts_with("All: Node node-17"));
    assert_eq!(templates.overridden("node_launched"), [Part::Text]);
    let names = templates.names();
    let count = |name| names.iter().filter(|known| *known == name).count();
    assert_eq!((count("payment_failed"), count("operator")), (1, 0));
}

#[test]
fn change_the_frame_of_all() {
    let layout =
        "<title>{{ subject }}</title>{% block content %}{% endblock %}<p>Acme Ltd, Berlin</p>";
    let templates = load(&folder(&[("layout.html", layout)])).expect("templates");
    for name in templates.names() {
        let html = preview(&templates, &name).html;
        assert!(html.contains("Acme Ltd, Berlin"), "{name}");
    }
}

#[test]
fn add_types() {
    let html = "{{ data.amount is defined }} {{ subject }}";
    let templates = load(&folder(&[("invoice_paid.html", html)])).expect("templates");
    assert!(templates.names().contains(&"invoice_paid".to_owned()));
    let queued = mail("invoice_paid", "Paid <b>", json!({"amount": 5}));
    let rendered = templates.mail(&queued, &recipient()).expect("rendered");
    assert_eq!(rendered.html, "True Paid &lt;b&gt;");
    assert!(rendered.text.starts_with("Paid <b>\n\nProject:"));
    // Its data is not known before there is some.
    let asks = folder(&[("invoice_paid.html", "{{ data.amount }}")]);
    let templates = load(&asks).expect("templates");
    let error = templates.mail(&mail("invoice_paid", "Paid", json!({})), &recipient());
    assert!(error.is_err());
}

#[test]
fn errors_have_their_place() {
    insta::assert_snapshot!(problem("digest.txt", "one\ntwo\n{% if %}"), @"FOLDER/digest.txt, line 3: syntax error: unexpected end of block");
    insta::assert_snapshot!(problem("generic.html", "\n{{ subjekt }}"), @"FOLDER/generic.html, line 2: undefined value: `subjekt` is undefined");
    let parts = include_str!("../mails/parts.html").replace("words | name", "words | shout");
    insta::assert_snapshot!(problem("parts.html", &parts), @"FOLDER/parts.html, line 3: unknown filter: filter shout is unknown");
    insta::assert_snapshot!(problem("invite_accepted.html", "{% extends 'frame.html' %}"), @r#"FOLDER/invite_accepted.html, line 1: template not found: template "frame.html" does not exist"#);
    insta::assert_snapshot!(problem("document_uploaded.txt", "{{ data.file }}"), @"FOLDER/document_uploaded.txt, line 1: undefined value: `data.file` is undefined");
    insta::assert_snapshot!(problem("invoice_paid.txt", "{{ subject | shout }}"), @"FOLDER/invoice_paid.txt, line 1: unknown filter: filter shout is unknown");
}

#[test]
fn that_can_not_be_read() {
    let nowhere = Path::new("/nowhere/at/all");
    let error = Templates::load(Some(nowhere), app_url(), None).expect_err("no folder");
    let error = error.to_string();
    assert!(
        error.starts_with("/nowhere/at/all: can't be read: "),
        "{error}"
    );
    let folder = folder(&[]);
    std::fs::write(folder.path().join("digest.html"), [0xff, 0xfe]).expect("a file");
    let error = load(&folder).expect_err("not UTF-8");
    assert!(
        error.starts_with("FOLDER/digest.html: can't be read: "),
        "{error}"
    );
}
