use super::server::describe;
use super::*;
use crate::ops::status::{
    Backlog, ChannelState, Daemon, Deliveries, Failed, FailureKind, Holder, HolderKind, Ignored,
    PendingEmails, Processing, Table, Target, Vacuum, Window, WithoutHandler,
};
use sqlx::types::Json;

fn table(name: &str, rows: Option<i64>, dead: i64) -> Table {
    Table {
        name: name.to_owned(),
        estimated_rows_count: rows,
        dead_rows_count: dead,
        last_autovacuum_age_seconds: rows.map(|_| 7_500.0),
        ..Table::default()
    }
}

#[test]
fn an_idle_service_says_so_briefly() {
    let idle = Status {
        tables: vec![table("notification_processing", None, 0)],
        ..Status::default()
    };
    insta::assert_snapshot!(idle, @"
    Backlog     nothing is due
    Processing  none
    Failed      none
    E-mails     none wait to be sent
    Deliveries  none pending
    Last hour   nothing completed
    Last day    nothing completed
    Vacuum      not held back
    Tables                                rows (about)         dead  last autovacuum
                notification_processing        unknown            0  never
    ");
}

#[test]
fn daemons_are_listed() {
    let daemon = |id: &str, mode: Option<&str>, age| Daemon {
        id: id.to_owned(),
        mode: mode.map(str::to_owned),
        connected_age_seconds: age,
        seen_age_seconds: age.map(|_| 0.4),
        ..Daemon::default()
    };
    let status = Status {
        daemons: vec![
            daemon("web-1:42:0a1b2c3d", Some("listen"), Some(7_500.0)),
            daemon("web-2:42:1a1b2c3d", Some("poll"), None),
            daemon("web-3:42:2a1b2c3d", None, Some(0.5)),
        ],
        ..Status::default()
    };
    insta::assert_snapshot!(from("Daemons", &status).split("\nVacuum").next().unwrap_or_default(), @"
    Daemons     web-1:42:0a1b2c3d listens, connected for 2h 5m, last seen 0.4s ago
                web-2:42:1a1b2c3d polls
                web-3:42:2a1b2c3d starts, connected for 0.5s, last seen 0.4s ago
    ");
}

/// The lines of a page from the one with this heading on.
fn from(heading: &str, status: &Status) -> String {
    let page = status.to_string();
    let lines = page.lines().skip_while(|line| !line.starts_with(heading));
    lines.collect::<Vec<_>>().join("\n")
}

fn failures() -> Failed {
    let mailer = FailureKind {
        error: "the mailer's connection to … was reset".to_owned(),
        count: 1_005,
        event_types: ["a", "b", "c", "d"].map(str::to_owned).into(),
        example_event_id: 1_042,
        latest_age_seconds: 192.0,
        ..FailureKind::default()
    };
    let unknown = FailureKind {
        count: 12,
        event_types: vec!["document_uploaded".to_owned()],
        latest_age_seconds: 86_400.0,
        ..FailureKind::default()
    };
    Failed {
        count: 1_017,
        kinds_count: 12,
        kinds: Json(vec![mailer, unknown]),
    }
}

#[test]
fn events_that_are_stuck_or_failed_come_with_what_to_do() {
    let status = Status {
        backlog: Backlog {
            due_count: 1_204,
            oldest_due_age_seconds: Some(4_242.0),
            scheduled_count: 3,
            next_due_in_seconds: Some(20.4),
            retrying_count: 4,
            without_handler: Json(vec![WithoutHandler {
                event_type: "invoice_paid".to_owned(),
                count: 1,
                oldest_age_seconds: 10_800.0,
                expires_in_seconds: 75_600.0,
            }]),
            ..Backlog::default()
        },
        processing: Processing {
            count: 500,
            stuck_count: 1,
            oldest_stuck_age_seconds: Some(842.0),
            ..Processing::default()
        },
        ignored: Ignored {
            event_types: ["page_viewed", "sun_set"].map(str::to_owned).into(),
            last_day_count: 1_300,
        },
        failed: failures(),
        ..Status::default()
    };
    let page = status.to_string();
    let (events, _) = page.split_once("E-mails").expect("e-mails");
    insta::assert_snapshot!(events, @r"
    Backlog     1,204 due, the oldest 1h 10m old
                → if no run is active: does cron start notify-fan-out run?
                3 wait for their time, the first for 20s
                4 of these were attempted before
                1 waits for a handler of invoice_paid, the oldest 3h old, expires in 21h
                → a newer binary that handles the type claims them automatically; NOTIFY_FANOUT_IGNORE_TYPES completes those that nobody wants
    Processing  500, of these 1 stuck, the oldest for 14m 2s
                → their worker died; the next notify-fan-out run reclaims them
    Ignored     page_viewed, sun_set; 1,300 completed without effect in the last day
    Failed      1,017
                1,005  the mailer's connection to … was reset
                       a, b, c and 1 more, as event 1042; the latest 3m 12s ago
                   12  (no reason recorded)
                       document_uploaded, as event 0; the latest 1d ago
                … and 10 more kinds of errors
                → once fixed: notify-fan-out retry --error 'the mailer'\''s connection to … was reset'
    ");
}

#[test]
fn what_holds_vacuum_back_comes_with_what_to_do() {
    let status = Status {
        last_hour: Window {
            completed_count: 3_210,
            completed_per_second: 3_210.0 / 3_600.0,
            latency_p50_seconds: Some(0.41),
            latency_p95_seconds: Some(12.0),
            latency_p99_seconds: Some(61.5),
            ..Window::default()
        },
        last_day: Window {
            completed_count: 500_000,
            is_capped: true,
            seconds: 7_200.0,
            completed_per_second: 500_000.0 / 7_200.0,
            ..Window::default()
        },
        vacuum: Vacuum {
            held_back_by: vec![Holder {
                kind: HolderKind::Session,
                name: "psql".to_owned(),
                pid: Some(4_711),
                state: Some("idle in transaction".to_owned()),
                age_seconds: Some(7_500.0),
                age_transactions_count: 12_345,
            }],
            hidden_sessions_count: 2,
        },
        tables: vec![
            table("domain_events", Some(9_999_999), 12),
            table("notifications", Some(100_000), 60_000),
        ],
        ..Status::default()
    };
    insta::assert_snapshot!(from("Last hour", &status), @"
    Last hour   3,210 completed, 53.5/min; latency p50 0.4s, p95 12s, p99 1m 2s
    Last day    the latest 500,000 completed took 2h, 69/s
    Vacuum      held back for 2h 5m by process 4711 (psql, idle in transaction) (2 sessions hidden from this role)
                → if it is forgotten, end it: SELECT pg_terminate_backend(4711);
    Tables                      rows (about)         dead  last autovacuum
                domain_events      9,999,999           12  2h 5m ago
                notifications        100,000       60,000  2h 5m ago
                → autovacuum does not keep up: VACUUM (ANALYZE) notifications;
    ");
}

#[test]
fn each_kind_of_holder_has_its_remedy() {
    let holder = |kind| Holder {
        kind,
        name: "it's".to_owned(),
        pid: None,
        state: None,
        age_seconds: (kind != HolderKind::ReplicationSlot).then_some(400.0),
        age_transactions_count: 2_000_000,
    };
    let text = [HolderKind::PreparedTransaction, HolderKind::ReplicationSlot].map(|kind| {
        let (what, remedy) = describe(&holder(kind));
        format!("{what}\n{remedy}")
    });
    insta::assert_snapshot!(text.join("\n"), @"
    held back for 6m 40s by the prepared transaction it's
    COMMIT PREPARED or ROLLBACK PREPARED 'it''s';
    held back by the replication slot it's (inactive), 2,000,000 transactions behind
    bring its subscriber back, or give it up: SELECT pg_drop_replication_slot('it''s');
    ");
}

fn channels() -> Vec<ChannelState> {
    let channel = |name: &str| ChannelState {
        channel: name.to_owned(),
        ..ChannelState::default()
    };
    let email = ChannelState {
        due_count: 1_200,
        oldest_due_age_seconds: Some(792.0),
        scheduled_count: 3,
        retrying_count: 4,
        sending_count: 8,
        expired_leases_count: 1,
        uncertain_count: 1,
        delivered_last_day_count: 48_210,
        ..channel("email")
    };
    let webhook = ChannelState {
        paused_count: 17,
        dead_count: 2,
        ..channel("webhook")
    };
    vec![email, channel("sms"), webhook]
}

fn targets() -> Vec<Target> {
    let target = |name: &str, channel: &str| Target {
        name: name.to_owned(),
        channel: channel.to_owned(),
        ..Target::default()
    };
    let failing = Target {
        paused_for_seconds: Some(250.0),
        failing_for_seconds: Some(7_500.0),
        failures_count: 7,
        last_error: Some("429: slow down".to_owned()),
        ..target("billing", "webhook")
    };
    let paused = Target {
        paused_for_seconds: Some(30.0),
        ..target("email", "email")
    };
    let disabled = Target {
        disabled_reason: Some("410: gone".to_owned()),
        disabled_for_seconds: Some(172_800.0),
        ..target("env:slack", "slack")
    };
    vec![failing, paused, disabled]
}

#[test]
fn deliveries_are_listed_by_channel() {
    let status = Status {
        pending_emails: PendingEmails {
            immediate_count: 7,
            aggregated_count: 24,
            oldest_age_seconds: Some(302.0),
        },
        deliveries: Deliveries {
            channels: channels(),
            is_last_day_capped: true,
            digest_recipients_count: 812,
            targets: targets(),
        },
        ..Status::default()
    };
    let page = from("E-mails", &status);
    let (deliveries, _) = page.split_once("Last hour").expect("a window");
    insta::assert_snapshot!(deliveries, @"
    E-mails     31 wait to be sent (7 immediate, 24 aggregated), the oldest 5m 2s old
                the aggregated ones are for the next digests of 812 people
    Deliveries             due      for  paused  scheduled  sending  dead  uncertain  sent in a day
                email    1,200  13m 12s       0          3        8     0          1         48,210
                webhook      0               17          0        0     2          0              0
                → dead and uncertain ones, and why: notify-fan-out dead-letters list
                of the last day only the latest were counted
                of those, 4 were attempted before
                → if no deliver is running: does cron start it, and is the channel configured?
                1 lease has expired: the sender died
                → the next notify-fan-out deliver reclaims them
                billing (webhook) has failed for 2h 5m, 7 attempts, and is paused for 4m 10s: 429: slow down
                email is paused for 30s
                env:slack (slack) has been disabled for 2d: 410: gone
    ");
}
