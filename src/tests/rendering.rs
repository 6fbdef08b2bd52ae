//! How notifications are written for the application that shows them, by the whole binary.

use serde_json::json;

use crate::harness::TestDatabase;

/// Harbour & Sons owns `Phase_2`, where Ada mentions Bo and Cy. The document is in no project.
async fn database() -> TestDatabase<'static> {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let [ada, bo, cy] = world.users(["Ada_A.", "Bo", "Cy"]).await;
    let org = world.org("Harbour & Sons", [bo]).await;
    let project = world.project("Phase_2", org).await;
    let thread = world.thread("Budget [Q3]", [ada, bo, cy]).await;
    let document = world.document("Deed", org, project).await;
    world
        .execute("UPDATE resources SET project_id = NULL")
        .await;
    let content =
        format!("@[Cy Young](user:{cy}) *and* **Bo**:\nplease read @[Deed](doc:{document})");
    let event = world.event("chat_message_sent");
    event
        .actor(ada)
        .project(project)
        .thread(thread)
        .payload(json!({"mentioned_user_ids": [bo], "full_content": content, "preview": content}))
        .await;
    world
        .event("document_uploaded")
        .actor(ada)
        .document(document)
        .await;
    db
}

fn run(db: &TestDatabase<'_>, variables: &[(&str, &str)]) {
    let mut command = db.binary();
    command.arg("run").envs(variables.iter().copied());
    assert_cmd::Command::from_std(command).assert().success();
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
    preview
        .args(["preview", "document_uploaded", "--text"])
        .env("NOTIFY_LINK_DOCUMENT", "/files/{resource}");
    let preview = preview.output().expect("started");
    assert!(String::from_utf8_lossy(&preview.stdout).contains("https://app.example.com/files/"));
    let mut wrong = db.binary();
    wrong.arg("run").env("NOTIFY_LINK_TEAM", "/team/{user}");
    let wrong = wrong.output().expect("started");
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        error.contains("NOTIFY_LINK_TEAM: it may have {org}"),
        "{error}"
    );
}
