//! `preview`, through the real binary: it asks for no database.

use crate::harness::{binary_at, complaint, ends};

type Environment<'a> = &'a [(&'a str, &'a str)];

/// What the command prints on stdout and stderr, and ends with.
fn preview(arguments: &str, environment: Environment<'_>, code: i32) -> (String, String) {
    let mut command = binary_at("");
    command.envs(environment.iter().copied());
    ends(command, &format!("preview {arguments}"), code)
}

fn shown(arguments: &str) -> String {
    preview(arguments, &[], 0).0
}

fn json(arguments: &str) -> serde_json::Value {
    let printed = shown(&format!("{arguments} --format json"));
    serde_json::from_str(&printed).expect("JSON")
}

#[test]
fn types_with_emails_are_listed() {
    let listed = shown("");
    assert!(listed.starts_with("document_uploaded\n"), "{listed}");
    let mails = json("")["mails"].as_array().map(Vec::len);
    assert_eq!(mails, Some(listed.lines().count()));
    let (_, refused) = preview("document_upload", &[], 2);
    let refused = complaint(&refused);
    let start = r#"no e-mail is called "document_upload"; there are document_uploaded, "#;
    assert!(refused.starts_with(start), "{refused}");
    assert!(refused.ends_with(", digest, generic"), "{refused}");
}

#[test]
fn subject_and_text_unless_asked_otherwise() {
    let both = shown("project_access_changed");
    let subject = "Subject: Ada Okafor changed your access to Quayside Lofts from view to edit\n";
    assert!(both.starts_with(subject), "{both}");
    let text = shown("project_access_changed --text");
    assert!(both.ends_with(&format!("\n\n{text}")) && !text.contains("Subject:"));
    let html = shown("project_access_changed --html");
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    let json = json("project_access_changed");
    assert_eq!((&json["html"], &json["text"]), (&html.into(), &text.into()));
    assert_eq!(json["type"], "project_access_changed");
    preview("digest --html --text", &[], 2);
    preview("--html", &[], 2);
}

#[test]
fn a_mail_is_written_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mail.html");
    let into = format!("digest --html --output '{}'", file.display());
    assert_eq!(shown(&into), "");
    let html = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(html, shown("digest --html"));
    let nowhere = into.replace("mail.html", "no/where");
    let (_, refused) = preview(&nowhere, &[], 1);
    assert!(refused.contains("can't be written"), "{refused}");
}

#[test]
fn templates_and_addresses_are_those_that_are_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let subject = folder.path().join("invite_accepted.subject");
    std::fs::write(subject, "{{ data.new_member_name }} ist dabei\n").expect("a file");
    let environment = [
        (
            "NOTIFY_TEMPLATES_DIR",
            folder.path().to_str().expect("UTF-8"),
        ),
        ("APP_BASE_URL", "https://example.com/app/"),
        ("NOTIFY_PREFERENCES_URL", "/settings"),
        ("NOTIFY_UNSUBSCRIBE_URL", "https://example.com/out/"),
        ("NOTIFY_UNSUBSCRIBE_KEY", &"01".repeat(32)),
    ];
    let (shown, _) = preview("invite_accepted", &environment, 0);
    insta::assert_snapshot!(shown, @"
    Subject: Chiara Rossi ist dabei

    A new member

    Chiara Rossi (chiara@example.com) accepted the invitation to Harbor
    Homes.

    See your team:
    https://example.com/app/team

    ---
    You get this because you are an owner of this organisation on
    example.com.

    Unsubscribe from mails like this:
    https://example.com/out/AVo7HgAAAEAAgAAAAAAAAAFpbnZpdGVfYWNjZXB0ZWSYkJG2tJp53z-0O7e-t9-y5HbFCQnCpfuJxBiGjUuByw

    Choose what you are notified of:
    https://example.com/app/settings
    ");
}

#[test]
fn errors_name_variable_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("digest.html");
    std::fs::write(&file, "<p>\n{{ groups | first | \n").expect("a file");
    let templates = folder.path().to_str().expect("UTF-8");
    for name in ["digest", "invite_accepted"] {
        let (_, error) = preview(name, &[("NOTIFY_TEMPLATES_DIR", templates)], 2);
        let place = format!("NOTIFY_TEMPLATES_DIR: {}, line ", file.display());
        assert!(complaint(&error).starts_with(&place), "{error}");
    }
    let no_url = [("APP_BASE_URL", "app.example.com")];
    let (_, error) = preview("digest", &no_url, 2);
    assert!(error.contains("ERROR APP_BASE_URL: must be"), "{error}");
}
