//! Mails to people: at once, as digests, and not any more.

use serde_json::json;

use super::{Queued, Stage, aggregated, body, counts, immediate, report};
use crate::harness::id;

#[tokio::test]
async fn at_once() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "Cy joined Acme")).await;
    let report = stage.deliver().await;
    assert_eq!(counts(&report), "delivered=1 mails=1");
    assert_eq!(stage.mails(), ["Bo <bo@example.com>: Cy joined Acme"]);
    assert_eq!(stage.queue_states().await, ["Cy joined Acme: sent"]);
    assert_eq!(
        stage.db.texts(
            "SELECT concat_ws(' ', d.status, d.transport, d.provider_id, a.attempt, a.outcome, a.status)
               FROM notification_deliveries d JOIN notification_delivery_attempts a ON a.delivery_id = d.id",
        ).await,
        ["delivered resend 4ef9a417-02e9-4d39-ad75-9611e0fcc33c 1 delivered 200"]
    );
    // And once only.
    assert_eq!(counts(&stage.deliver().await), "");
    assert_eq!(stage.outside.requests().len(), 1);
}

#[tokio::test]
async fn a_digest_tells_all_of_a_window_by_project() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let [bo, cy] = world.users(["Bo", "Cy"]).await;
    let of = |to, project: &str, subject| Queued {
        body_data: json!({"project_id": id("project", project), "project_name": project}),
        ..aggregated(to, subject)
    };
    stage
        .queue(of(bo, "Quayside", "Ada uploaded Rent roll"))
        .await;
    stage.queue(of(bo, "Atlas", "Ada uploaded Budget")).await;
    stage.queue(of(bo, "Quayside", "Ada uploaded Lease")).await;
    stage.queue(of(cy, "Atlas", "Ada uploaded Budget")).await;
    // Of the window that is not over yet.
    let window = "to_timestamp(floor(extract(epoch FROM now()) / 10800) * 10800)";
    let late = stage.queue(of(cy, "Atlas", "Ada uploaded Plan")).await;
    stage
        .db
        .execute(format!(
            "UPDATE pending_emails SET created_at = {window} WHERE id = {late}"
        ))
        .await;
    let report = stage.deliver().await;
    assert_eq!(counts(&report), "delivered=2 digests=2 mails=4");
    assert_eq!(
        stage.mails(),
        [
            "Bo <bo@example.com>: 3 updates in 2 projects",
            "Cy <cy@example.com>: Ada uploaded Budget",
        ]
    );
    let requests = stage.outside.requests();
    let mails = requests.iter().map(body);
    let text = mails
        .filter(|mail| mail["subject"] == "3 updates in 2 projects")
        .map(|mail| mail["text"].as_str().expect("a text").to_owned())
        .next()
        .expect("a digest");
    let places = ["Atlas", "Budget", "Quayside", "Rent roll", "Lease"]
        .map(|word| text.find(word).expect(word));
    assert!(places.is_sorted(), "{text}");
    // Whoever had one of this window waits for the next, whatever comes late.
    stage.queue(of(bo, "Atlas", "Ada uploaded Annex")).await;
    assert_eq!(counts(&stage.deliver().await), "");
    assert_eq!(
        stage.queue_states().await[4..],
        ["Ada uploaded Plan: pending", "Ada uploaded Annex: pending"]
    );
    stage
        .db
        .execute(
            "UPDATE notification_deliveries SET digest_window = digest_window - interval '3 hours'",
        )
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "delivered=1 digests=1 mails=1"
    );
}

#[tokio::test]
async fn what_is_read_gone_or_muted_is_left_out() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let bo = world.user("Bo").await;
    let subjects = [
        "Older",
        "Already seen",
        "Deleted",
        "Mail alone",
        "Still new",
    ];
    for subject in subjects {
        stage.queue(aggregated(bo, subject)).await;
    }
    stage
        .db
        .execute(
            "INSERT INTO notifications (user_id, event_id, title, read_at)
             SELECT user_id, event_id, subject, CASE subject WHEN 'Already seen' THEN now() END
               FROM pending_emails WHERE subject IN ('Already seen', 'Still new');
             UPDATE pending_emails SET has_notification = subject <> 'Mail alone'
              WHERE subject <> 'Older'",
        )
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "delivered=1 digests=1 mails=5"
    );
    let requests = stage.outside.requests();
    let text = body(&requests[0])["text"]
        .as_str()
        .expect("a text")
        .to_owned();
    for (subject, is_included) in subjects.into_iter().zip([true, false, false, true, true]) {
        assert_eq!(text.contains(subject), is_included, "{subject}: {text}");
    }
    assert_eq!(
        stage.queue_states().await,
        [
            "Older: sent",
            "Already seen: failed cancelled: the notification was read in the application",
            "Deleted: failed cancelled: the notification was deleted",
            "Mail alone: sent",
            "Still new: sent",
        ]
    );
}

#[tokio::test]
async fn an_empty_digest_is_not_sent() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let [bo, cy, di] = world.users(["Bo", "Cy", "Di"]).await;
    stage.queue(aggregated(bo, "muted since")).await;
    stage.queue(aggregated(cy, "read since")).await;
    stage.queue(immediate(di, "muted as well")).await;
    stage
        .db
        .execute(format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, event_type, channel, status)
             VALUES ('{bo}', 'global', '*', 'email', 'muted'), ('{di}', 'global', 'invite_accepted', '*', 'muted'),
                    ('{cy}', 'global', '*', 'email', 'muted'), ('{cy}', 'global', 'document_uploaded', 'email', 'digest');
             INSERT INTO notifications (user_id, event_id, title, read_at)
             SELECT user_id, event_id, subject, now() FROM pending_emails WHERE subject = 'read since'"
        ))
        .await;
    assert_eq!(
        counts(&stage.deliver().await),
        "cancelled=3 digests=2 mails=3"
    );
    assert!(stage.outside.requests().is_empty());
    assert_eq!(
        stage.deliveries().await,
        [
            "invite_accepted cancelled 0 muted (the recipient has muted such e-mails)",
            "digest cancelled 0 muted (the recipient has muted such e-mails)",
            "digest cancelled 0 read (the notification was read in the application)",
        ]
    );
    assert_eq!(stage.db.count("notification_delivery_attempts").await, 0);
    assert_eq!(
        stage
            .db
            .count("pending_emails WHERE status <> 'failed'")
            .await,
        0
    );
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
        stage
            .queue(Queued {
                event_type: "thread_unread_stale",
                body_data,
                ..immediate(bo, subject)
            })
            .await;
    }
    stage
        .db
        .execute(format!(
            "INSERT INTO user_notification_preferences (user_id, scope_type, scope_id, event_type, channel, status)
             VALUES ('{bo}', 'project', '{atlas}', '*', 'email', 'muted'),
                    ('{bo}', 'thread', '{thread}', '*', '*', 'immediate')"
        ))
        .await;
    stage.deliver().await;
    assert_eq!(
        stage.queue_states().await,
        [
            "in the project: failed cancelled: the recipient has muted such e-mails",
            "in the thread: sent",
            "elsewhere: sent",
        ]
    );
}

#[tokio::test]
async fn people_who_are_gone_or_have_no_address() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let [bo, cy, di] = world.users(["Bo", "Cy", "Di"]).await;
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
    assert_eq!(counts(&stage.deliver().await), "cancelled=2 dead=1 mails=3");
    assert_eq!(
        stage.deliveries().await,
        [
            "invite_accepted cancelled 0 no_address (the recipient has no e-mail address)",
            "invite_accepted dead 0 invalid_address (not a mail address, such as ada@example.com or Ada <ada@example.com>)",
            "invite_accepted cancelled 0 recipient_gone (the recipient no longer exists)",
        ]
    );
}

#[tokio::test]
async fn times_are_in_the_zone_of_the_reader_where_profiles_has_one() {
    let stage = Stage::new().await;
    let mut world = stage.db.world().await;
    let bo = world.user("Bo").await;
    let mail = |subject| Queued {
        event_type: "of_another_kind",
        body_data: json!({"start_time": "2030-07-02T22:30:00Z"}),
        ..immediate(bo, subject)
    };
    stage.queue(mail("first")).await;
    stage.deliver().await;
    stage
        .db
        .execute(
            "ALTER TABLE profiles ADD COLUMN time_zone text DEFAULT 'Europe/Berlin';
             GRANT SELECT (time_zone) ON profiles TO PUBLIC",
        )
        .await;
    stage.queue(mail("second")).await;
    stage.deliver().await;
    let requests = stage.outside.requests();
    let texts: Vec<_> = requests
        .iter()
        .map(|request| body(request)["text"].as_str().expect("a text").to_owned())
        .collect();
    assert!(
        texts[0].contains("Tuesday, 2 July 2030, 22:30 (UTC)"),
        "{}",
        texts[0]
    );
    assert!(
        texts[1].contains("Wednesday, 3 July 2030, 00:30 (Europe/Berlin)"),
        "{}",
        texts[1]
    );
}

#[tokio::test]
async fn who_wants_no_more_finds_the_way_out() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(immediate(bo, "one")).await;
    stage.queue(aggregated(bo, "two")).await;
    let key = "5a".repeat(32);
    let mut command = stage.command();
    command
        .args(["--format", "json"])
        .env(
            "NOTIFY_UNSUBSCRIBE_URL",
            "https://app.example.com/unsubscribe",
        )
        .env("NOTIFY_UNSUBSCRIBE_KEY", &key);
    report(&mut command).await;
    let mut scopes = Vec::new();
    for request in stage.outside.requests() {
        let mail = body(&request);
        let header = mail["headers"]["List-Unsubscribe"]
            .as_str()
            .expect("a header");
        assert_eq!(
            mail["headers"]["List-Unsubscribe-Post"],
            "List-Unsubscribe=One-Click"
        );
        assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
        let url = header.trim_matches(['<', '>']);
        assert!(mail["text"].as_str().is_some_and(|text| text.contains(url)));
        let mut unsubscribe = crate::harness::binary_at(&stage.db.superuser_url());
        unsubscribe
            .args(["unsubscribe", url, "--format", "json"])
            .env(
                "NOTIFY_UNSUBSCRIBE_URL",
                "https://app.example.com/unsubscribe",
            )
            .env("NOTIFY_UNSUBSCRIBE_KEY", &key);
        let summary = report(&mut unsubscribe).await;
        scopes.push(summary["event_type"].as_str().expect("a type").to_owned());
    }
    scopes.sort();
    assert_eq!(scopes, ["*", "invite_accepted"]);
    // From then on nothing comes.
    stage.queue(immediate(bo, "three")).await;
    assert_eq!(counts(&stage.deliver().await), "cancelled=1 mails=1");
}

#[tokio::test]
async fn the_old_is_put_aside_until_a_person_wants_it() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    let week = 7 * 24 * 3_600;
    stage
        .queue(Queued {
            age: week,
            ..immediate(bo, "old")
        })
        .await;
    stage
        .queue(Queued {
            age: week,
            ..aggregated(bo, "old too")
        })
        .await;
    stage.queue(aggregated(bo, "young")).await;
    assert_eq!(
        counts(&stage.deliver().await),
        "dead=2 delivered=1 digests=1 mails=3"
    );
    assert_eq!(stage.mails(), ["Bo <bo@example.com>: young"]);
    let expired = "dead 0 expired (expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE)";
    let mut deliveries = stage.deliveries().await;
    deliveries.sort();
    assert_eq!(
        deliveries,
        [
            format!("digest {expired}"),
            "digest delivered 1".to_owned(),
            format!("invite_accepted {expired}"),
        ]
    );
    stage
        .db
        .cli(&["dead-letters", "retry", "--channel", "email"])
        .success();
    assert_eq!(counts(&stage.deliver().await), "delivered=2");
}

#[tokio::test]
async fn the_same_attempt_twice_is_the_same_mail() {
    let stage = Stage::with(|_| super::answer(503, &[], "later")).await;
    let bo = stage.db.world().await.user("Bo").await;
    stage.queue(aggregated(bo, "one")).await;
    stage.queue(aggregated(bo, "two")).await;
    for _ in 0..2 {
        assert!(counts(&stage.deliver().await).ends_with("retried=1"));
        stage.let_time_pass().await;
    }
    // One item less is another mail.
    stage
        .db
        .execute(
            "INSERT INTO notifications (user_id, event_id, title, read_at)
             SELECT user_id, event_id, subject, now() FROM pending_emails WHERE subject = 'one'",
        )
        .await;
    stage.deliver().await;
    let requests = stage.outside.requests();
    let key = |place: usize| requests[place].headers["idempotency-key"].clone();
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(key(0), key(1));
    assert_ne!(requests[1].body, requests[2].body);
    assert_ne!(key(1), key(2));
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
    let report = report(stage.command().args(["--format", "json", "--limit", "20"])).await;
    assert_eq!(
        (&report["delivered"], &report["mails"]),
        (&json!(20), &json!(1_000))
    );
}

#[tokio::test]
async fn rows_of_an_older_job_that_lack_what_they_should_have() {
    let stage = Stage::new().await;
    let bo = stage.db.world().await.user("Bo").await;
    stage
        .db
        .execute(
            "ALTER TABLE pending_emails ALTER COLUMN user_id DROP NOT NULL, ALTER COLUMN event_type DROP NOT NULL,
                ALTER COLUMN subject DROP NOT NULL, ALTER COLUMN body_data DROP NOT NULL,
                ALTER COLUMN created_at DROP NOT NULL",
        )
        .await;
    for subject in [
        "no data",
        "nobody",
        "no type",
        "no time",
        "no end of time",
        "before all time",
        "no words",
        "good",
    ] {
        stage.queue(immediate(bo, subject)).await;
    }
    stage
        .db
        .execute(
            "UPDATE pending_emails SET body_data = NULL WHERE subject = 'no data';
             UPDATE pending_emails SET user_id = NULL WHERE subject = 'nobody';
             UPDATE pending_emails SET event_type = NULL WHERE subject = 'no type';
             UPDATE pending_emails SET created_at = NULL WHERE subject = 'no time';
             UPDATE pending_emails SET created_at = 'infinity' WHERE subject = 'no end of time';
             UPDATE pending_emails SET created_at = '-infinity' WHERE subject = 'before all time';
             UPDATE pending_emails SET subject = NULL WHERE subject = 'no words'",
        )
        .await;
    assert_eq!(counts(&stage.deliver().await), "dead=3 delivered=5 mails=8");
    let unusable = "failed dead: the row has no user_id, or no event_type";
    assert_eq!(
        stage.queue_states().await,
        [
            "no data: sent".to_owned(),
            format!("nobody: {unusable}"),
            format!("no type: {unusable}"),
            "no time: sent".to_owned(),
            "no end of time: sent".to_owned(),
            "before all time: failed dead: expired: it waited for longer than NOTIFY_DELIVERY_MAX_AGE".to_owned(),
            "sent".to_owned(),
            "good: sent".to_owned(),
        ]
    );
    stage.db.cli(&["dead-letters", "list"]).success();
}
