//! What is refused, by name, and changes nothing.

use super::{assert_redacted, endpoint};
use crate::harness::TestDatabase;

/// Exit code, arguments, and what the error says.
const REFUSED: &str = r#"
2 => WEBHOOK --to a@example.com => --to
2 => add ops --channel webhook => an endpoint of channel webhook takes --url
2 => add ops --channel email --url https://example.com => an endpoint of channel email takes --to
2 => add ops --channel fax --url x => [possible values: email, sms, slack, discord, webhook]
2 => add env:slack --channel email --to a@example.com => a name has 1 to 60
2 => add ops --channel slack --url T0kenOfTheRoom => --url: not an address
2 => add ops --channel slack --url ftp://example.com/T0kenOfTheRoom => does not begin with https://
2 => add ops --channel slack --url https://u:T0kenOfTheRoom@example.com => user name or password
2 => add ops --channel slack --url https://127.0.0.1/x => allowed networks; to permit it: NOTIFY_OUTGOING_ALLOW
2 => add ops --channel slack --url https://[::ffff:10.0.0.1]/x => allowed networks; to permit it: NOTIFY_OUTGOING_ALLOW
2 => add ops --channel slack --url http://example.com/x => NOTIFY_OUTGOING_PLAIN_HTTP
2 => add ops --channel email --to ada.okafor => --to: not a mail address
2 => add ops --channel sms --to 016098765432 => --to: a phone number has to be in the international form
2 => add ops --channel slack --url https://hooks.slack.com/x --secret x => are for endpoints of channel webhook
2 => add ops --channel slack --url @/nowhere => --url: /nowhere can't be read
2 => add ops --channel slack --url - => --url: standard input has no line left
2 => WEBHOOK --secret whsec_T0kenOfTheRoom => --secret: a signing secret is whsec_
2 => WEBHOOK --header 'Bearer 0fTheTenant' => --header: must be 'Name: value'
2 => WEBHOOK --header 'Host: example.com' => --header: the header host is set by the sender
2 => WEBHOOK --method GET => must be POST or PUT
2 => WEBHOOK --events payment => there are tenant_created,
2 => WEBHOOK --org x => --org
1 => WEBHOOK --org 00000000-0000-4000-8000-000000000001 => there is no organisation 00000000-0000-4000-8000-000000000001
1 => WEBHOOK --project 00000000-0000-4000-8000-000000000001 => there is no project 00000000-0000-4000-8000-000000000001
1 => show ops => there are no endpoints yet, so none is named "ops"
1 => test ops => there are no endpoints yet, so none is named "ops"
1 => rotate-secret ops => there are no endpoints yet, so none is named "ops"
"#;

#[tokio::test]
async fn what_is_wrong_is_refused_and_adds_nothing() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let org = world.org("Harbour", []).await;
    let project = world.project("Atlas", org).await;
    let webhook = "add ops --channel webhook --url https://example.com/T0kenOfTheRoom";
    for line in REFUSED.trim().lines() {
        let [code, arguments, why] = line.split(" => ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let arguments = arguments.replace("WEBHOOK", webhook);
        let code = code.parse().expect("a code");
        let refused = endpoint(&db, &[], &arguments).await.failed(code);
        assert!(refused.contains(why), "{arguments}: {refused}");
        assert_redacted(&refused);
    }
    assert_eq!(db.count("notification_endpoints").await, 0);
    let in_project = format!("{webhook} --project {project}");
    let added = endpoint(&db, &[], &in_project).await.succeeded();
    let scope = format!("scope project {project}");
    assert!(added.contains(&scope), "{added}");
    let twice = endpoint(&db, &[], webhook).await.failed(1);
    let why = "there is an endpoint ops already";
    assert!(twice.contains(why), "{twice}");
    assert_eq!(db.count("notification_endpoints").await, 1);
}

/// A new channel needs no migration.
#[tokio::test]
async fn the_tables_take_any_name_of_a_channel_and_nothing_else() {
    let db = TestDatabase::new().await;
    let mut connection = db.connect().await;
    for (name, is_taken) in [
        ("chat_2", true),
        ("Slack", false),
        ("a b", false),
        ("", false),
    ] {
        for insert in [
            format!(
                "notification_deliveries (channel, target, recipient, event_type) VALUES ('{name}', 't', 'r', 'x')"
            ),
            format!(
                "notification_endpoints (id, name, channel, target, settings) VALUES (gen_random_uuid(), '{name}', '{name}', 't', '{{}}')"
            ),
        ] {
            let insert = format!("INSERT INTO {insert}");
            let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(insert.clone()));
            let inserted = statement.execute(&mut connection).await;
            assert_eq!(inserted.is_ok(), is_taken, "{insert}: {inserted:?}");
        }
    }
}
