mod html;

use std::path::Path;

use serde_json::json;

use super::shape::Shape;
use super::*;
use crate::domain::event::EventRow;
use crate::handlers::Names;

fn app_url() -> BaseUrl {
    BaseUrl::parse("https://app.example.com").expect("an address")
}

fn templates() -> Templates {
    Templates::load(None, app_url(), None).expect("templates")
}

fn with_preferences() -> Templates {
    let preferences = "https://app.example.com/settings".to_owned();
    Templates::load(None, app_url(), Some(preferences)).expect("templates")
}

fn reader() -> Recipient<'static> {
    samples::reader(Some("https://app.example.com/unsubscribe/TOKEN"))
}

fn told(name: &str) -> String {
    let mail = templates()
        .preview(name, &reader(), &Rendering::default())
        .expect("rendered");
    let mail = mail.expect("a mail of that name");
    format!("Subject: {}\n\n{}", mail.subject, mail.text)
}

fn mail(event_type: &str, subject: &str, body_data: Value) -> QueuedMail {
    QueuedMail {
        event_type: event_type.to_owned(),
        subject: subject.to_owned(),
        body_data,
        ..samples::generic()
    }
}

mod words_of_each {
    use super::told;

    #[test]
    fn document_uploaded() {
        insta::assert_snapshot!(told("document_uploaded"), @"
        Subject: Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts

        New document

        Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts.

        Open the document:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?resourceId=5a3b1e00-0000-4000-8000-000000000004

        ---
        You get this because you can see this document on app.example.com.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn thread_unread_stale() {
        insta::assert_snapshot!(told("thread_unread_stale"), @"
        Subject: You have 4 unread messages in Closing checklist · Quayside Lofts

        Unread messages

        You have 4 unread messages in Closing checklist · Quayside Lofts.

        Read them:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?tab=chat&thread=5a3b1e00-0000-4000-8000-000000000005

        ---
        You get this because you take part in this chat on app.example.com.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn resume_incomplete_nudge() {
        insta::assert_snapshot!(told("resume_incomplete_nudge"), @"
        Subject: Your borrower resume for Quayside Lofts is 40% complete

        Your resume is 40% complete

        Your borrower resume for Quayside Lofts is 40% complete. Pick up where
        you left off.

        Go on with it:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        ---
        You get this because you are an owner of this project on
        app.example.com.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn invite_accepted() {
        insta::assert_snapshot!(told("invite_accepted"), @"
        Subject: Ada Okafor accepted the invitation to Harbour Capital

        A new member

        Ada Okafor (ada@example.com) accepted the invitation to Harbour Capital.

        See your team:
        https://app.example.com/team

        ---
        You get this because you are an owner of this organisation on
        app.example.com.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn project_access_granted() {
        insta::assert_snapshot!(told("project_access_granted"), @"
        Subject: Ada Okafor gave you view access to Quayside Lofts

        You have access to a project

        Ada Okafor gave you view access to Quayside Lofts.

        Open the project:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        ---
        You get this because your access to a project on app.example.com
        changed.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn project_access_changed() {
        insta::assert_snapshot!(told("project_access_changed"), @"
        Subject: Ada Okafor changed your access to Quayside Lofts from view to edit

        Your access changed

        Ada Okafor changed your access to Quayside Lofts from view to edit.

        Open the project:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        ---
        You get this because your access to a project on app.example.com
        changed.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn operator_events() {
        let words = |name| {
            let told = told(name);
            let (words, _) = told.split_once("\n---").expect("a foot");
            words.to_owned()
        };
        insta::assert_snapshot!(words("alert_triggered"), @"
        Subject: Alert Occupancy below 90% was triggered

        Alert Occupancy below 90% was triggered

        Severity: ⚠️ Warning

        Quayside Lofts is at 87.5%.

        Condition: below 90, metric occupancy
        Organisation: Harbour Capital

        Take a look:
        https://app.example.com/dashboard
        ");
        insta::assert_snapshot!(words("payment_failed"), @"
        Subject: Payment of EUR 480.00 by Harbour Capital failed

        Payment of EUR 480.00 by Harbour Capital failed

        Severity: 🚨 Critical

        Reason: The card was declined
        Tenant: 5a3b1e00-0000-4000-8000-000000000006

        Take a look:
        https://app.example.com/dashboard
        ");
        insta::assert_snapshot!(words("node_launched"), @"
        Subject: Node node-17 was launched

        Node node-17 was launched

        Severity: Info

        Provider: runpod
        Region: eu-west-1
        GPU: A100
        Model: llama-70b
        Duration: 4h
        Spot: yes
        Price: USD 1.20
        Organisation: Harbour Capital

        Take a look:
        https://app.example.com/dashboard
        ");
    }

    #[test]
    fn generic() {
        insta::assert_snapshot!(told("generic"), @"
        Subject: Ada Okafor booked a site visit · Quayside Lofts

        Ada Okafor booked a site visit · Quayside Lofts

        Project: Quayside Lofts
        When: Thursday, 17 January 2030, 10:30 (Europe/Berlin)

        Open it:
        https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?tab=meetings

        ---
        You get this because it concerns you on app.example.com.

        Unsubscribe from mails like this:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }

    #[test]
    fn digest() {
        insta::assert_snapshot!(told("digest"), @"
        Subject: 7 updates

        7 updates

        Quayside Lofts

        - Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts
          Thu 17 Jan, 09:30
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?resourceId=5a3b1e00-0000-4000-8000-000000000004

        - You have 4 unread messages in Closing checklist · Quayside Lofts
          Thu 17 Jan, 09:53
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?tab=chat&thread=5a3b1e00-0000-4000-8000-000000000005

        - Your borrower resume for Quayside Lofts is 40% complete
          Thu 17 Jan, 10:16
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        - Ada Okafor gave you view access to Quayside Lofts
          Thu 17 Jan, 11:02
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        - Ada Okafor changed your access to Quayside Lofts from view to edit
          Thu 17 Jan, 11:25
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003

        - Ada Okafor booked a site visit · Quayside Lofts
          Thu 17 Jan, 11:48
          https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?tab=meetings

        Elsewhere

        - Ada Okafor accepted the invitation to Harbour Capital
          Thu 17 Jan, 10:39
          https://app.example.com/team

        Open app.example.com:
        https://app.example.com

        ---
        You get this summary because of what happened around you on
        app.example.com. Times are in Europe/Berlin.

        Unsubscribe from these mails:
        https://app.example.com/unsubscribe/TOKEN
        ");
    }
}

#[test]
fn one_html() {
    let mail = with_preferences().preview("document_uploaded", &reader(), &Rendering::default());
    insta::assert_snapshot!(mail.expect("rendered").expect("a mail").html, @r##"
    <!doctype html>
    <html lang="en" dir="ltr">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <meta name="supported-color-schemes" content="light dark">
    <meta name="format-detection" content="telephone=no, date=no, address=no, email=no, url=no">
    <meta name="x-apple-disable-message-reformatting">
    <title>Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts</title>
    <style>
    :root { color-scheme: light dark; supported-color-schemes: light dark; }
    @media (prefers-color-scheme: dark) {
    .page { background-color: #121417 !important; }
    .card { background-color: #1c1f24 !important; border-color: #3a4048 !important; }
    .text { color: #e6e8eb !important; }
    .muted { color: #a8b0ba !important; }
    .link { color: #8ab4f8 !important; }
    .button { background-color: #8ab4f8 !important; color: #10151c !important; }
    }
    </style>
    <!--[if mso]>
    <style>td, p, h1, h2, li, a, span, strong { font-family: Arial, sans-serif !important; }</style>
    <![endif]-->
    </head>
    <body class="page" style="margin:0; padding:0; background-color:#f4f5f7;">
    <div style="display:none; max-height:0; overflow:hidden; mso-hide:all; font-size:1px; line-height:1px; opacity:0;">It is in Quayside Lofts.</div>
    <div role="article" aria-roledescription="email" aria-label="Ada Okafor uploaded Appraisal report (final).pdf to Quayside Lofts" lang="en">
    <table role="presentation" class="page" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%; background-color:#f4f5f7;">
    <tr>
    <td align="center" style="padding:24px 12px; font-family:-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif;">
    <!--[if mso]><table role="presentation" width="560" align="center" cellpadding="0" cellspacing="0" border="0"><tr><td><![endif]-->
    <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="width:100%; max-width:560px; text-align:left;">
    <tr>
    <td style="padding:0 4px 12px;">
    <p class="muted" style="margin:0; font-size:14px; line-height:20px; color:#52606d;">app.example.com</p>
    </td>
    </tr>
    <tr>
    <td class="card" style="padding:28px 28px 12px; background-color:#ffffff; border:1px solid #d9dee3; border-radius:6px;">
    <h1 class="text" style="margin:0 0 16px; font-size:22px; line-height:28px; font-weight:600; color:#1f2933;">New document</h1>
    <p class="text" style="margin:0 0 16px; font-size:16px; line-height:24px; color:#1f2933;"><strong><bdi>Ada Okafor</bdi></strong> uploaded <strong><bdi>Appraisal report (final).pdf</bdi></strong> to <strong><bdi>Quayside Lofts</bdi></strong>.</p>
    <table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:8px 0 20px;">
    <tr>
    <td class="button" bgcolor="#0b57d0" style="background-color:#0b57d0; border-radius:4px; mso-padding-alt:12px 20px;">
    <a class="button" href="https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?resourceId=5a3b1e00-0000-4000-8000-000000000004" style="display:inline-block; padding:12px 20px; font-size:16px; line-height:20px; font-weight:600; color:#ffffff; background-color:#0b57d0; border-radius:4px; text-decoration:none;">Open the document</a>
    </td>
    </tr>
    </table>
    </td>
    </tr>
    <tr>
    <td style="padding:16px 4px 0;">
    <p class="muted" style="margin:0 0 8px; font-size:13px; line-height:19px; color:#52606d;">You get this because you can see this document on app.example.com.</p>
    <p class="muted" style="margin:0; font-size:13px; line-height:19px; color:#52606d;"><a class="link" href="https://app.example.com/unsubscribe/TOKEN" style="color:#0b57d0; text-decoration:underline;">Unsubscribe from mails like this</a> · <a class="link" href="https://app.example.com/settings" style="color:#0b57d0; text-decoration:underline;">Choose what you are told</a></p>
    </td>
    </tr>
    </table>
    <!--[if mso]></td></tr></table><![endif]-->
    </td>
    </tr>
    </table>
    </div>
    </body>
    </html>
    "##);
}

/// Which types are mailed, one by one: whoever adds a type is asked whether it has templates.
fn is_mailed(event_type: EventType) -> bool {
    match event_type {
        EventType::DocumentUploaded
        | EventType::ThreadUnreadStale
        | EventType::ResumeIncompleteNudge
        | EventType::InviteAccepted
        | EventType::ProjectAccessGranted
        | EventType::ProjectAccessChanged
        | EventType::TenantCreated
        | EventType::PaymentSucceeded
        | EventType::PaymentFailed
        | EventType::NodeLaunched
        | EventType::NodeTerminated
        | EventType::NodeHealthDegraded
        | EventType::CostAnomalyDetected
        | EventType::RatelimitThresholdReached
        | EventType::MarginAlert
        | EventType::AlertTriggered => true,
        EventType::ChatMessageSent
        | EventType::MeetingInvited
        | EventType::MeetingUpdated
        | EventType::MeetingReminder
        | EventType::ProjectAccessRevoked
        | EventType::DocumentPermissionGranted
        | EventType::DocumentPermissionChanged => false,
    }
}

/// An event with all that any type asks for, and all that could lead to a mail.
fn event() -> EventRow {
    let id = Some(Uuid::from_u128(1));
    EventRow {
        actor_id: id,
        project_id: id,
        org_id: id,
        resource_id: id,
        thread_id: id,
        meeting_id: id,
        payload: Some(json!({
            "user_id": id,
            "invited_user_id": id,
            "affected_user_id": id,
            "new_member_id": id,
            "mentioned_user_ids": [id],
            "resume_type": "project",
            "completion_percent": 40,
            "nudge_tier": 1,
            "old_permission": "view",
            "new_permission": "edit",
            "name": "Acme",
            "amount": 1,
            "payment_id": 1,
            "tenant_id": id,
            "node_id": 1,
            "health_score": 1,
            "current_cost": 1,
            "average_cost": 1,
            "usage": 1,
            "limit": 1,
            "alert_id": 1,
        })),
        ..EventRow::default()
    }
}

#[test]
fn every_mailed_type_has_templates_and_a_sample() {
    for event_type in EventType::ALL.iter().copied() {
        let plans = event_type.decode(&event()).expect("an event");
        let plans = plans.plan(&Names::default());
        let expected = plans.iter().any(|plan| plan.email.is_some());
        let sample = samples::queued(event_type, &Rendering::default());
        let shape = shape::of(event_type);
        assert_eq!(
            [is_mailed(event_type), sample.is_some(), shape.is_some()],
            [expected; 3],
            "{}",
            event_type.name()
        );
        let (Some(sample), Some(shape)) = (sample, shape) else {
            continue;
        };
        for ending in ["html", "txt"] {
            let name = shape::shared(event_type.name()).unwrap_or(event_type.name());
            let file = format!("{name}.{ending}");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/templates/mails");
            assert!(path.join(&file).exists(), "{file}");
        }
        // What a handler gives is what its templates may ask for.
        let mut given: Vec<_> = sample
            .body_data
            .as_object()
            .expect("an object")
            .keys()
            .filter(|key| !matches!(key.as_str(), "type" | "link_url"))
            .map(String::as_str)
            .collect();
        let Shape {
            texts,
            numbers,
            optional,
            lists,
            unused,
        } = shape;
        let mut known = [texts, numbers, optional, lists, unused].concat();
        given.sort_unstable();
        known.sort_unstable();
        assert_eq!(given, known, "{}", event_type.name());
    }
}

#[test]
fn every_file_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/templates/mails");
    let from_folder = Catalogue::load(Some(&folder)).expect("templates");
    let embedded = Catalogue::load(None).expect("templates");
    for name in from_folder.files() {
        assert!(embedded.has(name), "{name}");
    }
}

/// Nothing but what is required, and that as an older job may have written it.
#[test]
fn the_least_that_a_mail_needs() {
    let least = [
        (
            "document_uploaded",
            json!({"uploader_name": "Ada", "resource_name": "a.pdf"}),
        ),
        ("thread_unread_stale", json!({"unread_count": 1})),
        (
            "resume_incomplete_nudge",
            json!({"resume_type": "project", "completion_percent": 99.9}),
        ),
        ("invite_accepted", json!({"new_member_name": "Bo"})),
        (
            "project_access_granted",
            json!({"actor_name": "Ada", "new_permission": "view"}),
        ),
        (
            "project_access_changed",
            json!({"actor_name": "Ada", "old_permission": [], "new_permission": " "}),
        ),
        (
            "alert.triggered",
            json!({"severity": "odd", "text": 7, "fields": [7, {"name": "Node"}, {"name": "Node", "value": "n-1"}]}),
        ),
    ];
    let texts: Vec<_> = least
        .into_iter()
        .map(|(event_type, data)| {
            let queued = mail(event_type, "Subject", data);
            let rendered = templates().mail(&queued, &Recipient::default());
            let text = rendered.expect("rendered").text;
            let text = text.replace('\u{2060}', "");
            text.lines().skip(2).take(4).collect::<Vec<_>>().join(" / ")
        })
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @"
    Ada uploaded a.pdf. /  / Open the project: / https://app.example.com
    You have 1 unread message in a chat thread. /  / Read it: / https://app.example.com
    Your project resume for a project is 99% complete. Pick up where you / left off. /  / Go on with it:
    Bo accepted the invitation to your organisation. /  / See your team: / https://app.example.com
    Ada gave you view access to a project. /  / Open the project: / https://app.example.com
    Ada changed your access to a project. /  / Open the project: / https://app.example.com
    Severity: odd /  / 7 /
    ");
}

#[test]
fn data_of_another_shape_is_told_by_the_generic_templates() {
    let link = "/project/workspace/1";
    for data in [
        json!(null),
        json!("text"),
        json!([1, 2]),
        json!({}),
        json!({"link_url": link, "uploader_name": 7, "resource_name": "a.pdf"}),
        json!({"link_url": 7, "resource_name": "a.pdf"}),
        json!({"told": "text"}),
        json!({"told": {"lines": [1, "a line"], "fields": [1, {"name": "x"}]}}),
    ] {
        let is_linked = data["link_url"] == link;
        let queued = mail("document_uploaded", "Ada uploaded a.pdf", data);
        let rendered = templates().mail(&queued, &reader()).expect("rendered");
        assert_eq!(rendered.subject, "Ada uploaded a.pdf");
        assert!(rendered.text.starts_with("Ada uploaded a\u{2060}.pdf\n"));
        assert_eq!(rendered.text.contains(link), is_linked);
        assert!(
            rendered
                .text
                .contains("Open it:\nhttps://app.example.com\n")
                || is_linked
        );
    }
}

#[test]
fn types_that_nobody_knows() {
    for event_type in [
        "invoice_paid",
        "layout",
        "parts",
        "digest",
        "../layout",
        "",
        "a.b",
    ] {
        let queued = mail(event_type, " ", json!({}));
        let rendered = templates().mail(&queued, &reader()).expect("rendered");
        assert!(
            rendered.html.contains("Open it") && !rendered.subject.is_empty(),
            "{event_type}"
        );
    }
    let rendered = templates().mail(&mail("invoice_paid", "", json!({})), &reader());
    assert_eq!(rendered.expect("rendered").subject, "Invoice paid");
}

#[test]
fn a_digest_of_one() {
    let one = [samples::generic()];
    let digest = Digest::new(&one).expect("a digest");
    let rendered = templates()
        .digest(&digest, &Recipient::default())
        .expect("rendered");
    insta::assert_snapshot!(format!("{}\n\n{}", rendered.subject, rendered.text), @"
    Ada Okafor booked a site visit · Quayside Lofts

    One update

    Quayside Lofts

    - Ada Okafor booked a site visit · Quayside Lofts
      Thu 17 Jan, 08:30
      https://app.example.com/project/workspace/5a3b1e00-0000-4000-8000-000000000003?tab=meetings

    Open app.example.com:
    https://app.example.com

    ---
    You get this summary because of what happened around you on
    app.example.com. Times are in UTC.
    ");
}

#[test]
fn subjects_of_digests() {
    let subject = |projects: &[Option<&str>]| {
        let mails: Vec<_> = projects
            .iter()
            .map(|project| QueuedMail {
                project_id: None,
                project_name: project.map(str::to_owned),
                ..samples::generic()
            })
            .collect();
        let digest = Digest::new(&mails).expect("a digest");
        let rendered = templates().digest(&digest, &reader()).expect("rendered");
        rendered.subject
    };
    assert_eq!(
        subject(&[Some("Atlas"), Some("Atlas")]),
        "2 updates in Atlas"
    );
    assert_eq!(
        subject(&[Some("Atlas"), None, Some("Quay")]),
        "3 updates in 2 projects"
    );
    assert_eq!(subject(&[Some("Atlas"), None]), "2 updates");
    assert_eq!(subject(&[None, None]), "2 updates");
}

mod folders {
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
        let folder = folder(&[
            (
                "document_uploaded.subject",
                "Neu: {{ data.resource_name }}\n",
            ),
            (
                "document_uploaded.txt",
                "Hallo {{ reader }},\n{{ data.resource_name }}",
            ),
            ("README.md", "{% nonsense"),
            (".hidden.html", "{% nonsense"),
        ]);
        let templates = load(&folder).expect("templates");
        let mail = templates.preview("document_uploaded", &reader(), &Rendering::default());
        let mail = mail.expect("rendered").expect("a mail");
        assert_eq!(mail.subject, "Neu: Appraisal report (final).pdf");
        assert_eq!(
            mail.text,
            "Hallo Bruno Keller,\nAppraisal report (final).pdf\n"
        );
        assert!(mail.html.contains("Open the document"));
        assert_eq!(
            templates.overridden("document_uploaded"),
            [Part::Subject, Part::Text]
        );
        assert_eq!(templates.overridden("invite_accepted"), []);
    }

    #[test]
    fn stand_for_one_operator_event_or_for_all() {
        let folder = folder(&[
            ("operator.txt", "All: {{ subject }}"),
            ("payment_failed.txt", "Mine: {{ data.severity }}"),
        ]);
        let templates = load(&folder).expect("templates");
        let text = |name| {
            let mail = templates
                .preview(name, &reader(), &Rendering::default())
                .expect("rendered");
            mail.expect("a mail").text
        };
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
            let mail = templates
                .preview(&name, &reader(), &Rendering::default())
                .expect("rendered");
            assert!(
                mail.expect("a mail").html.contains("Acme Ltd, Berlin"),
                "{name}"
            );
        }
    }

    #[test]
    fn add_types() {
        let folder = folder(&[(
            "invoice_paid.html",
            "{{ data.amount is defined }} {{ subject }}",
        )]);
        let templates = load(&folder).expect("templates");
        assert!(templates.names().contains(&"invoice_paid".to_owned()));
        let queued = mail("invoice_paid", "Paid <b>", json!({"amount": 5}));
        let rendered = templates.mail(&queued, &reader()).expect("rendered");
        assert_eq!(rendered.html, "True Paid &lt;b&gt;");
        assert!(rendered.text.starts_with("Paid <b>\n\nProject:"));
        // Its data is not known before there is some.
        let asks = self::folder(&[("invoice_paid.html", "{{ data.amount }}")]);
        let templates = load(&asks).expect("templates");
        let error = templates.mail(&mail("invoice_paid", "Paid", json!({})), &reader());
        assert!(error.is_err());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        insta::assert_snapshot!(problem("digest.txt", "one\ntwo\n{% if %}"), @"FOLDER/digest.txt, line 3: syntax error: unexpected end of block");
        insta::assert_snapshot!(problem("generic.html", "\n{{ subjekt }}"), @"FOLDER/generic.html, line 2: undefined value: `subjekt` is undefined");
        let parts = include_str!("mails/parts.html").replace("words | name", "words | shout");
        insta::assert_snapshot!(problem("parts.html", &parts), @"FOLDER/parts.html, line 3: unknown filter: filter shout is unknown");
        insta::assert_snapshot!(problem("invite_accepted.html", "{% extends 'frame.html' %}"), @r#"FOLDER/invite_accepted.html, line 1: template not found: template "frame.html" does not exist"#);
        insta::assert_snapshot!(problem("document_uploaded.txt", "{{ data.file }}"), @"FOLDER/document_uploaded.txt, line 1: undefined value: `data.file` is undefined");
        insta::assert_snapshot!(problem("invoice_paid.txt", "{{ subject | shout }}"), @"FOLDER/invoice_paid.txt, line 1: unknown filter: filter shout is unknown");
    }

    #[test]
    fn that_can_not_be_read() {
        let nowhere = Path::new("/nowhere/at/all");
        let error = Templates::load(Some(nowhere), app_url(), None).expect_err("no folder");
        assert!(
            error
                .to_string()
                .starts_with("/nowhere/at/all: can't be read: "),
            "{error}"
        );
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("digest.html"), [0xff, 0xfe]).expect("a file");
        let error = load(&folder).expect_err("not UTF-8");
        assert!(
            error.starts_with("FOLDER/digest.html: can't be read: "),
            "{error}"
        );
    }
}
