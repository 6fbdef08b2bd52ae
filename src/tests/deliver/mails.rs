//! Mails to people: at once, and not any more.

use serde_json::json;

use super::{Queued, Stage, aggregated, body, counts, immediate, report, text_of};
use crate::harness::{Delivery, binary_at, id};

#[tokio::test]
async fn a_mail_is_sent_at_once_and_once() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "Cy joined Acme")).await;
    assert_eq!(stage.deliver().await, "delivered=1 mails=1");
    assert_eq!(stage.mails(), ["Bo <bo@example.com>: Cy joined Acme"]);
    assert_eq!(stage.queue_states().await, "Cy joined Acme: sent");
    let recorded = "SELECT concat_ws(' ', d.status, d.transport, d.provider_id, a.attempt, a.outcome, a.status)
                      FROM notification_deliveries d JOIN notification_delivery_attempts a ON a.delivery_id = d.id";
    assert_eq!(
        stage.db.texts(recorded).await,
        ["delivered resend 4ef9a417-02e9-4d39-ad75-9611e0fcc33c 1 delivered 200"]
    );
    assert_eq!(stage.deliver().await, "");
    assert_eq!(stage.outside.requests().len(), 1);
}

#[tokio::test]
async fn scopes_of_preferences_count_as_when_it_was_queued() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let bo = world.user("Bo").await;
    let (atlas, thread) = (id("project", "Atlas"), id("thread", "Budget"));
    for (subject, body_data) in [
        ("in the project", json!({"project_id": atlas})),
        (
            "in the thread",
            json!({"project_id": atlas, "thread_id": thread}),
        ),
        ("elsewhere", json!({"thread_id": "no identifier"})),
    ] {
        let mail = Queued {
            event_type: "thread_unread_stale",
            body_data,
            ..immediate(bo, subject)
        };
        stage.queue(mail).await;
    }
    world
        .prefers(bo, "project / * / email = muted", Some(atlas))
        .await;
    world
        .prefers(bo, "thread / * / * = immediate", Some(thread))
        .await;
    stage.deliver().await;
    insta::assert_snapshot!(stage.queue_states().await, @"
    in the project: failed cancelled: the recipient has muted such e-mails
    in the thread: sent
    elsewhere: sent
    ");
}

#[tokio::test]
async fn people_who_are_gone_or_have_no_address_get_nothing() {
    let stage = Stage::new().await;
    let [bo, cy, di] = stage.db.world().await.users(["Bo", "Cy", "Di"]).await;
    for (to, subject) in [(bo, "no address"), (cy, "no mail address"), (di, "gone")] {
        stage.queue(immediate(to, subject)).await;
    }
    stage
        .db
        .execute(format!(
            "ALTER TABLE pending_emails DROP CONSTRAINT pending_emails_user_id_fkey;
             ALTER TABLE profiles ALTER COLUMN email DROP NOT NULL;
             UPDATE profiles SET email = NULL WHERE id = '{bo}';
             UPDATE profiles SET email = 'cy at example' WHERE id = '{cy}';
             DELETE FROM profiles WHERE id = '{di}'"
        ))
        .await;
    assert_eq!(stage.deliver().await, "cancelled=2 dead=1 mails=3");
    insta::assert_snapshot!(stage.deliveries().await, @"
    invite_accepted cancelled 0 no_address (the recipient has no e-mail address)
    invite_accepted dead 0 invalid_address (not a mail address, such as ada@example.com or Ada <ada@example.com>)
    invite_accepted cancelled 0 recipient_gone (the recipient no longer exists)
    ");
}

#[tokio::test]
async fn times_are_in_the_zone_of_the_recipient_where_profiles_has_one() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for (subject, prepare, time) in [
        ("first", "", "Tuesday, 2 July 2030, 22:30 (UTC)"),
        (
            "second",
            "ALTER TABLE profiles ADD COLUMN time_zone text DEFAULT 'Europe/Berlin';
             GRANT SELECT (time_zone) ON profiles TO PUBLIC",
            "Wednesday, 3 July 2030, 00:30 (Europe/Berlin)",
        ),
    ] {
        stage.db.execute(prepare).await;
        let mail = Queued {
            event_type: "of_another_kind",
            body_data: json!({"start_time": "2030-07-02T22:30:00Z"}),
            ..immediate(bo, subject)
        };
        stage.queue(mail).await;
        stage.deliver().await;
        let requests = stage.outside.requests();
        let text = text_of(requests.last().expect("a mail"));
        assert!(text.contains(time), "{text}");
    }
}

#[tokio::test]
async fn every_mail_has_a_link_that_ends_such_mails() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    stage.queue(aggregated(bo, "two")).await;
    let key = "5a".repeat(32);
    let variables = [
        (
            "NOTIFY_UNSUBSCRIBE_URL",
            "https://app.example.com/unsubscribe",
        ),
        ("NOTIFY_UNSUBSCRIBE_KEY", key.as_str()),
    ];
    report(stage.command().envs(variables)).await;
    let mut scopes = Vec::new();
    for request in stage.outside.requests() {
        let mail = body(&request);
        let headers = &mail["headers"];
        assert_eq!(
            headers["List-Unsubscribe-Post"],
            "List-Unsubscribe=One-Click"
        );
        assert_eq!(headers["Auto-Submitted"], "auto-generated");
        let link = headers["List-Unsubscribe"].as_str().expect("a header");
        let url = link.trim_matches(['<', '>']);
        assert!(text_of(&request).contains(url));
        let mut unsubscribe = binary_at(&stage.db.superuser_url());
        unsubscribe.args(["unsubscribe", url]).envs(variables);
        let summary = report(&mut unsubscribe).await;
        scopes.push(summary["event_type"].as_str().expect("a type").to_owned());
    }
    scopes.sort();
    assert_eq!(scopes, ["*", "invite_accepted"]);
    // From then on nothing comes.
    stage.queue(immediate(bo, "three")).await;
    assert_eq!(stage.deliver().await, "cancelled=1 mails=1");
}

/// Of every channel, also where nothing leads to it from here; what was attempted is kept to the end of
/// its schedule.
#[tokio::test]
async fn what_has_waited_for_too_long_is_a_dead_letter_until_a_person_wants_it() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for mail in [immediate(bo, "old"), aggregated(bo, "old too")] {
        let age = 7 * 24 * 3_600;
        stage.queue(Queued { age, ..mail }).await;
    }
    stage.queue(aggregated(bo, "young")).await;
    let hook = stage.endpoint("webhook", "hook").await;
    let webhook = Delivery::endpoint("webhook", hook);
    let then = "now() - interval '200 days'";
    for delivery in [
        webhook.clone().event_type("webhook"),
        webhook.event_type("attempted").status("pending", 1),
        Delivery::sms(bo).event_type("sms"),
        Delivery::route("slack").event_type("slack"),
    ] {
        let old = delivery.with("created_at", then);
        let old = old.says("x").with("next_attempt_at", then);
        stage.db.delivery(old).await;
    }
    let dry = stage.dry_run(stage.command()).await;
    assert!(dry.ends_with("send=2 cancel=0 dead=5 wait=0\n"), "{dry}");
    let counts = "dead=5 delivered=2 digests=1 mails=3";
    assert_eq!(stage.deliver().await, counts);
    let deliveries = stage.deliveries().await;
    let mut deliveries: Vec<_> = deliveries.lines().collect();
    deliveries.sort_unstable();
    insta::assert_snapshot!(deliveries.join("\n"), @"
    attempted delivered 2
    digest dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)
    digest delivered 1
    invite_accepted dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)
    slack dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)
    sms dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)
    webhook dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)
    ");
    let retry = "dead-letters retry --channel email --channel webhook";
    stage.db.prints(retry);
    assert_eq!(stage.deliver().await, "delivered=3");
}

#[tokio::test]
async fn a_long_queue_is_promoted_as_it_is_sent() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage
        .db
        .execute(format!(
            "WITH events AS (
                INSERT INTO domain_events (event_type) SELECT 'invite_accepted' FROM generate_series(1, 2500) RETURNING id)
             INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject)
             SELECT '{bo}', id, 'invite_accepted', 'immediate', 'one of many' FROM events"
        ))
        .await;
    let counts = counts(stage.command().args(["--limit", "20"])).await;
    assert_eq!(counts, "delivered=20 mails=1000");
}

#[tokio::test]
async fn rows_of_an_older_job_may_lack_what_they_should_have() {
    const ROWS: [(&str, &str, &str); 8] = [
        ("no data", "body_data", "NULL"),
        ("nobody", "user_id", "NULL"),
        ("no type", "event_type", "NULL"),
        ("no time", "created_at", "NULL"),
        ("no end of time", "created_at", "'infinity'"),
        ("before all time", "created_at", "'-infinity'"),
        ("no words", "subject", "NULL"),
        ("good", "subject", "'good'"),
    ];
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    for (subject, column, value) in ROWS {
        stage.queue(immediate(bo, subject)).await;
        stage
            .db
            .execute(format!(
                "ALTER TABLE pending_emails ALTER COLUMN {column} DROP NOT NULL;
                 UPDATE pending_emails SET {column} = {value} WHERE subject = '{subject}'"
            ))
            .await;
    }
    assert_eq!(stage.deliver().await, "dead=3 delivered=5 mails=8");
    insta::assert_snapshot!(stage.queue_states().await, @"
    no data: sent
    nobody: failed dead: the row has no user_id, or no event_type
    no type: failed dead: the row has no user_id, or no event_type
    no time: sent
    no end of time: sent
    before all time: failed dead: expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE
    sent
    good: sent
    ");
    stage.db.prints("dead-letters list");
}
