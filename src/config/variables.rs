//! Every variable: its name, its default, its text, and how its value is read.
//!
//! Flags, `--help`, `notify-fan-out config`, docs/configuration.md and .env.example are made from
//! this list. The first line of a text is all that `--help` shows.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use tracing::Level;
use url::Url;

use super::LogFormat;
use super::given::Reader;
use super::parse::{
    acceptance_timeout, base_url, boolean, database_url, digest_window, email_transport,
    encryption_keys, event_types, held_channels, hours, https_url, link, log_format, log_level,
    metrics_file, networks, one_of, parsed, poll_max, preferences_url, provider_url, prune_age,
    secret, statement_timeout, time, twilio_account, twilio_sender, unsubscribe_keys, whole,
};
use super::variable::{Variable, flag, hidden, plain, variables, without_password};
use crate::channels::smtp::SmtpServer;
use crate::channels::twilio::Sender;
use crate::channels::{Channel, EmailTransport, Mailbox};
use crate::daemon::WakeMode;
use crate::domain::base_url::BaseUrl;
use crate::domain::body::BodyFormat;
use crate::domain::schedule::Schedule;

variables! {
    "Database" {
        /// Connection string of the database.
        /// Percent-encode special characters of the password. Behind a pooler, transaction mode is fine.
        /// Parameters such as ?sslmode=verify-full&connect_timeout=10: see docs/connection.md. On Supabase,
        /// press Connect in the dashboard and take a connection string. Without it, ./run.sh starts a private
        /// local database.
        database_url: SecretString = DATABASE_URL(), database_url, secret(without_password), example("postgres://user:password@host:5432/database");
        /// Address of Supabase's HTTP interface. It is not used: DATABASE_URL takes a connection string.
        supabase_url: String = SUPABASE_URL(), parsed::<String>;
    }
    "Fan-out: run" {
        /// Events claimed at once, 1 to 10000.
        /// Up to as many again join them that are due in the same chat threads. Larger batches mean fewer
        /// commits and longer transactions.
        batch_size: u32 = NOTIFY_FANOUT_BATCH_SIZE("500"), |text| whole(text, 1, 10_000), flag(flag("run", "batch-size", Some("EVENTS")));
        /// Database connections that claim and write at the same time, 1 to 64.
        /// A run uses more than one only while more than a batch is due.
        workers: u32 = NOTIFY_FANOUT_WORKERS("2"), |text| whole(text, 1, 64), flag(flag("run serve", "workers", Some("WORKERS")));
        /// Show what a run would do, in a transaction that cannot write.
        dry_run: bool = NOTIFY_FANOUT_DRY_RUN("false"), boolean, flag(flag("run", "dry-run", None));
        /// Fail pending events that are older than this many hours.
        /// Their reason is "expired".
        max_event_age: Duration = NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS("24"), hours, flag(flag("run", "max-event-age-hours", Some("HOURS")));
        /// Event types whose events complete without effect, separated by commas.
        ignored_types: Vec<String> = NOTIFY_FANOUT_IGNORE_TYPES(), event_types, example("page_viewed,project_archived");
        /// Age at which a claim counts as abandoned; the next run reclaims its events.
        /// It is also the longest that one statement may take; 1s at least.
        stuck_after: Duration = NOTIFY_FANOUT_STUCK_AFTER("10m"), statement_timeout;
        /// Attempts before an event fails, 1 to 100.
        /// They are 1, 2, 4, 8 … minutes apart, an hour at most.
        max_attempts: u32 = NOTIFY_FANOUT_MAX_ATTEMPTS("5"), |text| whole(text, 1, 100);
        /// Claim nothing after this time, such as 55s or 5m.
        /// The next run continues.
        max_runtime: Duration = NOTIFY_FANOUT_MAX_RUNTIME("55s"), time, flag(flag("run", "max-runtime", Some("TIME")));
        /// Exit with code 5 while another exclusive instance is running.
        /// By default, instances share the work.
        exclusive: bool = NOTIFY_FANOUT_ALONE("false"), boolean, flag(flag("run", "exclusive", None));
        /// For how long an event may be due before doctor reports a problem.
        overdue_after: Duration = NOTIFY_FANOUT_OVERDUE_AFTER("10m"), time;
        /// File for the metrics of run: Prometheus text for node_exporter's textfile collector.
        /// The name must end in .prom.
        metrics_file: PathBuf = NOTIFY_FANOUT_METRICS_FILE(), metrics_file, example("/var/lib/prometheus/node-exporter/notify_fan_out.prom");
    }
    "Application" {
        /// Address of the application. E-mails link to it and need it.
        /// Without ? and #.
        app_url: BaseUrl = APP_BASE_URL(), base_url, secret(plain), example("https://app.example.com");
        /// Whether a mute of in_app covers e-mail too, where no preference for email or * decides.
        /// For applications whose preference panel knows only the channel in_app.
        mute_covers_email: bool = NOTIFY_MUTE_COVERS_EMAIL("false"), boolean;
        /// Format of notification bodies: plain (text with **bold** and mentions) or markdown (names are escaped).
        body_format: BodyFormat = NOTIFY_BODY_FORMAT("plain"), |text| one_of(text, &[("plain", BodyFormat::Plain), ("markdown", BodyFormat::Markdown)]);
        /// Path of a project; may contain {project}.
        link_project: String = NOTIFY_LINK_PROJECT("/project/workspace/{project}"), |path| link(path, &["{project}"]);
        /// Path of a document of a project; may contain {project} and {resource}.
        link_document: String = NOTIFY_LINK_DOCUMENT("/project/workspace/{project}?resourceId={resource}"), |path| link(path, &["{project}", "{resource}"]);
        /// Path of a document without a project; may contain {resource}.
        link_document_without_project: String = NOTIFY_LINK_DOCUMENT_WITHOUT_PROJECT("/dashboard"), |path| link(path, &["{resource}"]);
        /// Path of a chat thread of a project; may contain {project} and {thread}.
        link_thread: String = NOTIFY_LINK_THREAD("/project/workspace/{project}?tab=chat&thread={thread}"), |path| link(path, &["{project}", "{thread}"]);
        /// Path of a chat thread without a project; may contain {thread}.
        link_thread_without_project: String = NOTIFY_LINK_THREAD_WITHOUT_PROJECT("/dashboard?tab=chat&thread={thread}"), |path| link(path, &["{thread}"]);
        /// Path of the meetings of a project; may contain {project} and {meeting}.
        link_meetings: String = NOTIFY_LINK_MEETINGS("/project/workspace/{project}?tab=meetings"), |path| link(path, &["{project}", "{meeting}"]);
        /// Path of meetings without a project; may contain {meeting}.
        link_meetings_without_project: String = NOTIFY_LINK_MEETINGS_WITHOUT_PROJECT("/dashboard?tab=meetings"), |path| link(path, &["{meeting}"]);
        /// Path of the start page, for events without a project or whose recipient lost access to it.
        link_dashboard: String = NOTIFY_LINK_DASHBOARD("/dashboard"), |path| link(path, &[]);
        /// Path of an organisation's members; may contain {org}.
        link_team: String = NOTIFY_LINK_TEAM("/team"), |path| link(path, &["{org}"]);
    }
    "E-mails" {
        /// SMTP server: smtp:// is STARTTLS on port 587, smtps:// is TLS on port 465.
        /// Percent-encode special characters of user and password (@ is %40). ?tls=none sends without
        /// encryption, and without a password unless the server is on this machine; ?hello=NAME sets the name
        /// in the greeting. To try it: endpoint add me --channel email --to you@…, then endpoint test me.
        smtp_server: SmtpServer = NOTIFY_SMTP_URL(), parsed::<SmtpServer>, secret(without_password), example("smtp://user:password@mail.example.com");
        /// How long an SMTP server may take to accept an e-mail that it has received in full, 1h at most.
        /// Then the e-mail is uncertain and is sent again. A deliver waits for what is in flight before it
        /// ends.
        smtp_acceptance_timeout: Duration = NOTIFY_SMTP_ACCEPTANCE_TIMEOUT("10m"), acceptance_timeout;
        /// API key of Resend.
        resend_api_key: SecretString = NOTIFICATIONS_RESEND_API_KEY(), secret, secret(hidden);
        /// API key of SendGrid.
        sendgrid_api_key: SecretString = NOTIFY_SENDGRID_API_KEY(), secret, secret(hidden);
        /// E-mail transport, where several are configured: smtp, resend, sendgrid, or none to hold all e-mails.
        email_transport: Option<EmailTransport> = NOTIFY_EMAIL_TRANSPORT(), email_transport;
        /// Sender of e-mails, which need one.
        email_from: Mailbox = NOTIFICATIONS_EMAIL_FROM(), parsed::<Mailbox>, secret(plain), example("Acme <notify@example.com>");
        /// Address for answers, where it is not the sender.
        email_reply_to: Mailbox = NOTIFY_EMAIL_REPLY_TO(), parsed::<Mailbox>, secret(plain);
        /// Folder of e-mail templates that replace the built-in ones, file by file.
        /// notify-fan-out preview TYPE shows them. A wrong template is refused at the start, by file and line.
        templates_dir: PathBuf = NOTIFY_TEMPLATES_DIR(), parsed::<PathBuf>, example("/etc/notify-fan-out/mails");
        /// Page where people choose their notifications, for the foot of e-mails: a path of the application, or an address.
        preferences_url: String = NOTIFY_PREFERENCES_URL(), preferences_url, secret(plain), example("/settings/notifications");
        /// Start of the addresses for one-click unsubscribing; https. Needs NOTIFY_UNSUBSCRIBE_KEY too.
        unsubscribe_url: BaseUrl = NOTIFY_UNSUBSCRIBE_URL(), https_url, secret(plain), example("https://app.example.com/unsubscribe");
        /// Key that signs unsubscribe addresses: 32 bytes or more as base64 or hexadecimal.
        /// Make one with: openssl rand -base64 32. To replace it, put the new one in front (new,old): the first
        /// signs, all are accepted.
        unsubscribe_key: SecretString = NOTIFY_UNSUBSCRIBE_KEY(), unsubscribe_keys, secret(hidden);
        /// Length of a digest's window: a part of a day such as 15m, 3h or 12h, or whole days.
        /// A person gets one digest per window at most. Windows start at midnight UTC.
        digest_every: Duration = NOTIFY_DIGEST_EVERY("3h"), digest_window;
    }
    "Text messages" {
        /// Twilio account for text messages.
        twilio_account: String = NOTIFY_TWILIO_ACCOUNT_SID(), twilio_account, example("AC…");
        /// Token of the account.
        twilio_auth_token: SecretString = NOTIFY_TWILIO_AUTH_TOKEN(), secret, secret(hidden);
        /// API key of the account, instead of its token.
        twilio_api_key_sid: String = NOTIFY_TWILIO_API_KEY_SID(), parsed::<String>, secret(plain), example("SK…");
        /// Secret of the API key.
        twilio_api_key_secret: SecretString = NOTIFY_TWILIO_API_KEY_SECRET(), secret, secret(hidden);
        /// Sender of text messages: a number of the account, or a messaging service (MG…).
        twilio_from: Sender = NOTIFY_TWILIO_FROM(), twilio_sender, secret(plain), example("+15005550006");
    }
    "Operator events" {
        /// Slack webhook that receives operator events.
        /// Operator events are those of tenants, payments, nodes and alerts. More destinations: notify-fan-out
        /// endpoint add.
        slack_webhook_url: SecretString = NOTIFICATIONS_SLACK_WEBHOOK_URL(), secret, secret(hidden), example("https://hooks.slack.com/services/…");
        /// false switches the Slack webhook off and keeps its address.
        slack_enabled: bool = NOTIFICATIONS_SLACK_ENABLED(), boolean, example("true");
        /// Discord webhook that receives operator events.
        discord_webhook_url: SecretString = NOTIFICATIONS_DISCORD_WEBHOOK_URL(), secret, secret(hidden), example("https://discord.com/api/webhooks/…");
        /// false switches the Discord webhook off and keeps its address.
        discord_enabled: bool = NOTIFICATIONS_DISCORD_ENABLED(), boolean, example("true");
        /// Addresses that receive operator events by e-mail, separated by commas.
        email_to: SecretString = NOTIFICATIONS_EMAIL_TO(), secret, secret(plain), example("ops@example.com");
        /// false switches these e-mails off and keeps their addresses.
        email_enabled: bool = NOTIFICATIONS_EMAIL_ENABLED(), boolean, example("true");
        /// Key that encrypts the settings of endpoints in the database: 32 bytes as base64 or hexadecimal.
        /// Make one with: openssl rand -base64 32. Without it, the settings are stored as plain text. To
        /// replace it, put the new one in front (new,old), run notify-fan-out endpoint rotate-key, and remove
        /// the old one.
        secret_key: SecretString = NOTIFY_SECRET_KEY(), encryption_keys, secret(hidden);
    }
    "Outgoing requests" {
        /// Networks and addresses that requests may go to besides public ones, separated by commas.
        outgoing_allow: Vec<IpNet> = NOTIFY_OUTGOING_ALLOW(), networks, example("10.0.0.0/8,fd00::/8");
        /// Whether requests may use http://.
        outgoing_plain_http: bool = NOTIFY_OUTGOING_PLAIN_HTTP("false"), boolean;
        /// PEM file of certificate authorities that are trusted besides the system's.
        outgoing_ca_file: PathBuf = NOTIFY_OUTGOING_CA_FILE(), parsed::<PathBuf>, example("/etc/ssl/own-ca.pem");
        /// Address of Resend's API: a region, a proxy or a stand-in.
        resend_url: Url = NOTIFY_RESEND_BASE_URL("https://api.resend.com"), provider_url, secret(without_password);
        /// Address of SendGrid's API.
        sendgrid_url: Url = NOTIFY_SENDGRID_BASE_URL("https://api.sendgrid.com"), provider_url, secret(without_password);
        /// Address of Twilio's API.
        twilio_url: Url = NOTIFY_TWILIO_BASE_URL("https://api.twilio.com"), provider_url, secret(without_password);
    }
    "Delivery: deliver" {
        /// Messages in flight at once, 1 to 1000.
        concurrency: u32 = NOTIFY_DELIVERY_CONCURRENCY("20"), |text| whole(text, 1, 1_000), flag(flag("deliver", "concurrency", Some("MESSAGES")));
        /// Messages in flight at once to one target, per process.
        /// A target is the e-mail transport, Twilio, or an endpoint. Two processes that run at once send twice
        /// as many to it.
        per_target: u32 = NOTIFY_DELIVERY_PER_TARGET("4"), |text| whole(text, 1, 1_000), flag(flag("deliver", "per-target", Some("MESSAGES")));
        /// Start no message after this time, such as 55s or 5m.
        /// The next run continues.
        delivery_max_runtime: Duration = NOTIFY_DELIVERY_MAX_RUNTIME("55s"), time, flag(flag("deliver", "max-runtime", Some("TIME")));
        /// Show what would be sent, in a transaction that cannot write; nothing is sent.
        delivery_dry_run: bool = NOTIFY_DELIVERY_DRY_RUN("false"), boolean, flag(flag("deliver", "dry-run", None));
        /// Exit with code 5 while another exclusive instance is running.
        /// By default, instances share the work.
        delivery_exclusive: bool = NOTIFY_DELIVERY_ALONE("false"), boolean, flag(flag("deliver", "exclusive", None));
        /// Delays before e-mails and text messages are retried, each moved by up to a tenth.
        /// Then they are dead letters.
        retry_schedule: Schedule = NOTIFY_DELIVERY_RETRY_SCHEDULE("5m, 30m, 2h, 12h, 24h"), parsed::<Schedule>;
        /// Delays before chat messages and webhooks are retried, each moved by up to a tenth.
        chat_retry_schedule: Schedule = NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE("5s, 10s, 20s, 40s, 80s, 5m, 30m, 2h, 12h, 24h"), parsed::<Schedule>;
        /// Channels whose uncertain messages wait for a person: of email, sms, slack, discord, webhook; or none.
        /// A message is uncertain if it may have arrived. Those of the other channels are sent again.
        hold_uncertain: BTreeSet<Channel> = NOTIFY_DELIVERY_HOLD_UNCERTAIN("sms, slack, discord"), held_channels;
        /// Age at which a message that was never attempted becomes a dead letter.
        /// The age of a requeued one counts from its requeue.
        max_delivery_age: Duration = NOTIFY_DELIVERY_MAX_AGE("3d"), time;
        /// File for the metrics of deliver, another than that of run.
        delivery_metrics_file: PathBuf = NOTIFY_DELIVERY_METRICS_FILE(), metrics_file, example("/var/lib/prometheus/node-exporter/notify_fan_out_delivery.prom");
    }
    "Daemon: serve" {
        /// Address for health and metrics over HTTP, such as 127.0.0.1:9464.
        http_listen: SocketAddr = NOTIFY_HTTP_LISTEN(), parsed::<SocketAddr>, flag(flag("serve", "listen", Some("ADDRESS"))), example("127.0.0.1:9464");
        /// Connection string for LISTEN, where DATABASE_URL leads to a pooler in transaction mode.
        /// One connection is opened by it.
        listen_url: SecretString = NOTIFY_LISTEN_URL(), database_url, secret(without_password);
        /// How the daemon waits for events: auto, listen or poll.
        /// auto listens where notifications arrive, and polls elsewhere. listen refuses to start where they don't.
        /// poll never notifies, which applications with two-phase commit need.
        wake: WakeMode = NOTIFY_WAKE("auto"), |text| one_of(text, &[("auto", WakeMode::Auto), ("listen", WakeMode::Listen), ("poll", WakeMode::Poll)]);
        /// Longest pause between two looks into the tables, 10ms to 1h.
        poll_max: Duration = NOTIFY_POLL_MAX("1s"), poll_max;
    }
    "Operations" {
        /// Delete what was finished longer ago than this, such as 30d or 12h; off: never.
        /// The scripts schedule prune once a day.
        prune_older_than: Option<Duration> = NOTIFY_PRUNE_OLDER_THAN("90d"), prune_age, flag(flag("prune", "older-than", Some("TIME")));
        /// Least level of log entries: DEBUG (an entry per event), INFO (per batch), WARN (per failure), ERROR.
        log_level: Level = LOG_LEVEL("INFO"), log_level;
        /// Format of the log on standard error: text or json.
        /// In JSON every line is an object, the result of a job included.
        log_format: LogFormat = LOG_FORMAT("text"), log_format;
    }
}
