//! How notifications are written for the application that shows them, by the whole binary.

use serde_json::json;

use crate::harness::{RunCommand as _, TestDatabase};

/// Harbour & Sons owns `Phase_2`, where Ada mentions Bo and Cy. The document is in no project.
async fn database() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo, cy] = world.users(["Ada_A.", "Bo", "Cy"]).await;
    let org = world.org("Harbour & Sons", [bo]).await;
    let project = world.project("Phase_2", org).await;
    let thread = world.thread("Budget [Q3]", [ada, bo, cy]).await;
    let document = world.document("Deed", org, project).await;
    let no_project = "UPDATE resources SET project_id = NULL";
    world.execute(no_project).await;
    let content =
        format!("@[Cy Young](user:{cy}) *and* **Bo**:\nplease read @[Deed](doc:{document})");
    let message = json!({"mentioned_user_ids": [bo], "full_content": content, "preview": content});
    let event = world.message(thread).actor(ada).project(project);
    event.payload(message).await;
    let event = world.event("document_uploaded").document(document);
    event.actor(ada).await;
    db
}

fn run(db: &TestDatabase<'_>, variables: &[(&str, &str)]) {
    let mut command = db.binary();
    command.arg("run").envs(variables.iter().copied()).prints();
}

/// What the bell shows, without identifiers.
async fn shown(db: &TestDatabase<'_>) -> String {
    let rows = db
        .texts(
            "SELECT regexp_replace(concat_ws(E'\\n  ', title, body, link_url), '[0-9a-f-]{36}', '…', 'g')
               FROM notifications ORDER BY 1",
        )
        .await;
    rows.join("\n")
}

#[tokio::test]
async fn bodies_are_plain_text_with_mentions() {
    let db = database().await;
    run(&db, &[]);
    insta::assert_snapshot!(shown(&db).await, @"
    1 unread in Budget [Q3] · Phase_2
      1 unread in **Budget [Q3]** · **Phase_2**, the latest from **Ada_A.**: @[Cy Young](user:…) *and* Bo: please read @[Deed](doc:…)
      /project/workspace/…?tab=chat&thread=…
    Ada_A. mentioned you in Budget [Q3] · Phase_2
      @[Cy Young](user:…) *and* Bo:
    please read @[Deed](doc:…)
      /project/workspace/…?tab=chat&thread=…
    Ada_A. uploaded Deed
      **Ada_A.** uploaded **Deed**.
      /dashboard
    ");
}

#[tokio::test]
async fn bodies_may_be_markdown() {
    let db = database().await;
    run(&db, &[("NOTIFY_BODY_FORMAT", "markdown")]);
    insta::assert_snapshot!(shown(&db).await, @r"
    1 unread in Budget [Q3] · Phase_2
      1 unread in **Budget \[Q3\]** · **Phase\_2**, the latest from **Ada\_A.**: \@\[Cy Young\](user\:…) \*and\* \*\*Bo\*\*\: please read \@\[Deed\](doc\:…)
      /project/workspace/…?tab=chat&thread=…
    Ada_A. mentioned you in Budget [Q3] · Phase_2
      \@\[Cy Young\](user\:…) \*and\* \*\*Bo\*\*\:\
    please read \@\[Deed\](doc\:…)
      /project/workspace/…?tab=chat&thread=…
    Ada_A. uploaded Deed
      **Ada\_A.** uploaded **Deed**.
      /dashboard
    ");
}

#[tokio::test]
async fn links_follow_the_templates() {
    let db = database().await;
    let links = [
        ("NOTIFY_LINK_THREAD", "/p/{project}/chat?id={thread}"),
        (
            "NOTIFY_LINK_DOCUMENT_WITHOUT_PROJECT",
            "/documents/{resource}",
        ),
    ];
    run(&db, &links);
    let links = db
        .text(
            "SELECT (SELECT count(*) FROM notifications n JOIN domain_events e ON e.id = n.event_id
                      WHERE n.link_url = '/p/' || e.project_id || '/chat?id=' || e.thread_id) || ' '
                 || (SELECT count(*) FROM notifications n JOIN domain_events e ON e.id = n.event_id
                      WHERE n.link_url = '/documents/' || e.resource_id) || ' '
                 || (SELECT count(*) FROM pending_emails m JOIN domain_events e ON e.id = m.event_id
                      WHERE m.body_data ->> 'link_url' = '/documents/' || e.resource_id)",
        )
        .await;
    assert_eq!(links, "2 1 1");
    let mut preview = db.binary();
    preview.env("NOTIFY_LINK_DOCUMENT", "/files/{resource}");
    let preview = preview
        .args(["preview", "document_uploaded", "--text"])
        .prints();
    let link = "https://app.example.com/files/";
    assert!(preview.contains(link), "{preview}");
    let mut wrong = db.binary();
    let wrong = wrong.arg("run").env("NOTIFY_LINK_TEAM", "/team/{user}");
    let error = wrong.fails(2);
    let why = "NOTIFY_LINK_TEAM: it may have {org}";
    assert!(error.contains(why), "{error}");
}
