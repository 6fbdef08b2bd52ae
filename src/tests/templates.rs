//! `preview`, through the real binary: it asks for no database.

use std::process::Command;

use assert_cmd::assert::Assert;

use crate::harness::{binary_at, complaint};

fn binary(arguments: &[&str]) -> Command {
    let mut command = binary_at("");
    command.arg("preview").args(arguments);
    command
}

fn run(command: Command) -> Assert {
    assert_cmd::Command::from_std(command).assert()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8")
}

fn shown(arguments: &[&str]) -> String {
    stdout(&run(binary(arguments)).success())
}

#[test]
fn types_with_emails_are_listed() {
    let listed = shown(&[]);
    assert!(listed.starts_with("document_uploaded\n"), "{listed}");
    let last = "
digest                       several of them at once
generic                      every other type, and data of another shape
";
    assert!(listed.ends_with(last), "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&shown(&["--format", "json"])).expect("JSON");
    assert_eq!(
        json["mails"].as_array().map(Vec::len),
        Some(listed.lines().count())
    );
    let refused = stderr(&run(binary(&["document_upload"])).code(2));
    let refused = complaint(&refused);
    let start = r#"no e-mail is called "document_upload"; there are document_uploaded, "#;
    assert!(
        refused.starts_with(start) && refused.ends_with(", digest, generic"),
        "{refused}"
    );
}

#[test]
fn subject_and_text_unless_asked_otherwise() {
    let both = shown(&["project_access_changed"]);
    insta::assert_snapshot!(both, @"
    Subject: Ada Okafor changed your access to Quayside Lofts from view to edit

    Your access changed

    Ada Okafor changed your access to Quayside Lofts from view to edit.

    Open the project:
    https://app.example.com/project/workspace/5eed5eed-fa11-4003-8000-000000000001

    ---
    You get this because your access to a project on app.example.com
    changed.
    ");
    let text = shown(&["project_access_changed", "--text"]);
    assert!(both.ends_with(&format!("\n\n{text}")) && !text.contains("Subject:"));
    let html = shown(&["project_access_changed", "--html"]);
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    let json = shown(&["project_access_changed", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["html"], &json["text"]), (&html.into(), &text.into()));
    assert_eq!(json["type"], "project_access_changed");
    run(binary(&["digest", "--html", "--text"])).code(2);
    run(binary(&["--html"])).code(2);
}

#[test]
fn into_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mail.html");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(shown(&["digest", "--html", "--output", path]), "");
    let html = std::fs::read_to_string(&file).expect("the file");
    assert_eq!(html, shown(&["digest", "--html"]));
    let nowhere = folder.path().join("no/where");
    let refused = run(binary(&[
        "digest",
        "--output",
        nowhere.to_str().expect("UTF-8"),
    ]))
    .code(1);
    assert!(stderr(&refused).contains("can't be written"));
}

#[test]
fn with_the_templates_and_addresses_that_are_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("invite_accepted.subject"),
        "{{ data.new_member_name }} ist dabei\n",
    )
    .expect("a file");
    let mut command = binary(&["invite_accepted"]);
    command
        .env("NOTIFY_TEMPLATES_DIR", folder.path())
        .env("APP_BASE_URL", "https://example.com/app/")
        .env("NOTIFY_PREFERENCES_URL", "/settings")
        .env("NOTIFY_UNSUBSCRIBE_URL", "https://example.com/out/")
        .env("NOTIFY_UNSUBSCRIBE_KEY", "01".repeat(32));
    let shown = stdout(&run(command).success());
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
    for name in ["digest", "invite_accepted"] {
        let mut command = binary(&[name]);
        command.env("NOTIFY_TEMPLATES_DIR", folder.path());
        let error = stderr(&run(command).code(2));
        let place = format!("NOTIFY_TEMPLATES_DIR: {}, line ", file.display());
        assert!(complaint(&error).starts_with(&place), "{error}");
    }
    let mut command = binary(&["digest"]);
    command.env("APP_BASE_URL", "app.example.com");
    assert!(stderr(&run(command).code(2)).contains("ERROR APP_BASE_URL: must be"));
}
