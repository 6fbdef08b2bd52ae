//! Configuration: flags win over the environment, the environment over `.env`, and what was given
//! but wrong is refused, by the name of the flag or variable. The value itself is repeated only
//! where it can't be a secret.

mod delivery;
mod endpoints;
mod mail;
mod outgoing;
mod rendering;
mod transports;

pub use delivery::DeliverFlags;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::db::Database;
use crate::fan_out::Settings;
use crate::handlers::EventType;

/// Every variable that is read, besides those of the PostgreSQL client library.
pub const VARIABLES: &[&str] = &[
    "DATABASE_URL",
    "SUPABASE_URL",
    "NOTIFY_FANOUT_BATCH_SIZE",
    "NOTIFY_FANOUT_DRY_RUN",
    "NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS",
    "NOTIFY_FANOUT_IGNORE_TYPES",
    "NOTIFY_FANOUT_STUCK_AFTER",
    "NOTIFY_FANOUT_MAX_ATTEMPTS",
    "NOTIFY_FANOUT_MAX_RUNTIME",
    "NOTIFY_FANOUT_ALONE",
    "NOTIFY_FANOUT_OVERDUE_AFTER",
    "NOTIFY_FANOUT_METRICS_FILE",
    "NOTIFY_MUTE_COVERS_EMAIL",
    "NOTIFY_BODY_FORMAT",
    "NOTIFY_LINK_PROJECT",
    "NOTIFY_LINK_DOCUMENT",
    "NOTIFY_LINK_DOCUMENT_WITHOUT_PROJECT",
    "NOTIFY_LINK_THREAD",
    "NOTIFY_LINK_THREAD_WITHOUT_PROJECT",
    "NOTIFY_LINK_MEETINGS",
    "NOTIFY_LINK_MEETINGS_WITHOUT_PROJECT",
    "NOTIFY_LINK_DASHBOARD",
    "NOTIFY_LINK_TEAM",
    "NOTIFY_DELIVERY_METRICS_FILE",
    "NOTIFY_PRUNE_OLDER_THAN",
    "APP_BASE_URL",
    "NOTIFY_TEMPLATES_DIR",
    "NOTIFY_PREFERENCES_URL",
    "NOTIFY_UNSUBSCRIBE_URL",
    "NOTIFY_UNSUBSCRIBE_KEY",
    "NOTIFY_SECRET_KEY",
    "NOTIFY_OUTGOING_ALLOW",
    "NOTIFY_OUTGOING_PLAIN_HTTP",
    "NOTIFY_OUTGOING_CA_FILE",
    "NOTIFICATIONS_SLACK_WEBHOOK_URL",
    "NOTIFICATIONS_SLACK_ENABLED",
    "NOTIFICATIONS_DISCORD_WEBHOOK_URL",
    "NOTIFICATIONS_DISCORD_ENABLED",
    "NOTIFICATIONS_EMAIL_TO",
    "NOTIFICATIONS_EMAIL_ENABLED",
    "NOTIFY_EMAIL_TRANSPORT",
    "NOTIFY_SMTP_URL",
    "NOTIFY_SMTP_ACCEPTANCE_TIMEOUT",
    "NOTIFICATIONS_RESEND_API_KEY",
    "NOTIFY_SENDGRID_API_KEY",
    "NOTIFICATIONS_EMAIL_FROM",
    "NOTIFY_EMAIL_REPLY_TO",
    "NOTIFY_RESEND_BASE_URL",
    "NOTIFY_SENDGRID_BASE_URL",
    "NOTIFY_TWILIO_ACCOUNT_SID",
    "NOTIFY_TWILIO_AUTH_TOKEN",
    "NOTIFY_TWILIO_API_KEY_SID",
    "NOTIFY_TWILIO_API_KEY_SECRET",
    "NOTIFY_TWILIO_FROM",
    "NOTIFY_TWILIO_BASE_URL",
    "NOTIFY_DELIVERY_CONCURRENCY",
    "NOTIFY_DELIVERY_PER_TARGET",
    "NOTIFY_DELIVERY_MAX_RUNTIME",
    "NOTIFY_DELIVERY_DRY_RUN",
    "NOTIFY_DELIVERY_ALONE",
    "NOTIFY_DELIVERY_RETRY_SCHEDULE",
    "NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE",
    "NOTIFY_DELIVERY_HOLD_UNCERTAIN",
    "NOTIFY_DELIVERY_MAX_AGE",
    "NOTIFY_DIGEST_EVERY",
    "LOG_LEVEL",
    "LOG_FORMAT",
];

const RUN_METRICS: &str = "NOTIFY_FANOUT_METRICS_FILE";
const DELIVERY_METRICS: &str = "NOTIFY_DELIVERY_METRICS_FILE";

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text an entry.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `run` takes besides the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct RunFlags {
    /// Show what a run would do, in a transaction that cannot write
    #[arg(long)]
    pub dry_run: bool,
    /// Events claimed at once, besides those of the same chat threads
    #[arg(help = "Events claimed at once, besides those of the same chat threads [env: NOTIFY_FANOUT_BATCH_SIZE] [default: 500]", long, value_name = "EVENTS", value_parser = parse_batch_size)]
    pub batch_size: Option<u32>,
    /// Give up pending events older than this
    #[arg(help = "Give up pending events older than this [env: NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS] [default: 24]", long, value_name = "HOURS", value_parser = parse_hours)]
    pub max_event_age_hours: Option<Duration>,
    /// Stop after this many events [default: none]
    #[arg(long, value_name = "EVENTS")]
    pub limit: Option<u64>,
    /// Claim nothing after this time, such as 55s or 5m
    #[arg(help = "Claim nothing after this time, such as 55s or 5m [env: NOTIFY_FANOUT_MAX_RUNTIME] [default: 55s]", long, value_name = "TIME", value_parser = parse_time)]
    pub max_runtime: Option<Duration>,
    /// Refuse to run beside another instance
    #[arg(
        help = "Refuse to run beside another instance [env: NOTIFY_FANOUT_ALONE] [default: share the work]",
        long,
        alias = "alone"
    )]
    pub exclusive: bool,
}

/// A variable that was given but is wrong, or is missing and needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct InvalidConfig {
    /// Its name.
    pub variable: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Where values come from. A trait's worth of a closure, so that tests need no environment.
pub struct Source<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Source<'_> {
    /// The value of a variable; an empty one counts as not set.
    fn get(&self, variable: &str) -> Option<String> {
        (self.0)(variable).filter(|value| !value.trim().is_empty())
    }

    fn parsed<T>(
        &self,
        variable: &'static str,
        flag: Option<T>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, InvalidConfig> {
        if let Some(value) = flag {
            return Ok(value);
        }
        let Some(value) = self.get(variable) else {
            return Ok(default);
        };
        parse(value.trim()).map_err(|problem| InvalidConfig {
            variable,
            problem: format!("{problem}; it is {value:?}"),
        })
    }

    /// The database.
    pub fn database(&self) -> Result<Database, InvalidConfig> {
        let invalid = |problem: String| InvalidConfig {
            variable: "DATABASE_URL",
            problem,
        };
        let Some(url) = self.get("DATABASE_URL") else {
            return Err(invalid(if self.get("SUPABASE_URL").is_some() {
                "not set. SUPABASE_URL is the address of the HTTP interface; this job needs the \
                 connection string of the database: in the Supabase dashboard, press Connect at \
                 the top of the project, take the one of the session or transaction pooler (or the \
                 direct one), and put it into .env as DATABASE_URL=postgresql://…"
                    .to_owned()
            } else {
                "not set. Put DATABASE_URL=postgres://user:password@host:5432/database into the \
                 environment or .env; or call ./run.sh, which starts a local database without it"
                    .to_owned()
            }));
        };
        // A statement that outlives its claim's lease would only be in the way of the rescue.
        let timeout = self.stuck_after()?;
        Database::new(&SecretString::from(url), timeout).map_err(|error| invalid(error.to_string()))
    }

    /// How a run goes about its work.
    pub fn settings(
        &self,
        flags: &RunFlags,
        processor_id: String,
    ) -> Result<Settings, InvalidConfig> {
        Ok(Settings {
            batch_size: self.parsed(
                "NOTIFY_FANOUT_BATCH_SIZE",
                flags.batch_size,
                500,
                parse_batch_size,
            )?,
            max_event_age: self.max_event_age(flags.max_event_age_hours)?,
            stuck_after: self.stuck_after()?,
            max_attempts: self.max_attempts()?,
            max_runtime: self.parsed(
                "NOTIFY_FANOUT_MAX_RUNTIME",
                flags.max_runtime,
                Duration::from_secs(55),
                parse_time,
            )?,
            limit: flags.limit,
            ignored_types: self.ignored_types()?,
            processor_id,
            routes: self.routes()?.names(),
            mute_covers_email: self.mute_covers_email()?,
            rendering: self.rendering()?,
        })
    }

    /// Age at which pending events are given up.
    pub fn max_event_age(&self, flag: Option<Duration>) -> Result<Duration, InvalidConfig> {
        let day = Duration::from_hours(24);
        self.parsed("NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS", flag, day, parse_hours)
    }

    /// The event types that complete without effect, each in every spelling.
    pub fn ignored_types(&self) -> Result<Vec<String>, InvalidConfig> {
        let types: Vec<Vec<_>> =
            self.parsed("NOTIFY_FANOUT_IGNORE_TYPES", None, Vec::new(), |text| {
                parse_each(text, "the name of an event type", |name| {
                    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
                    is_name.then(|| EventType::spellings_of(name))
                })
            })?;
        Ok(types.concat())
    }

    /// Age at which a claim counts as abandoned.
    pub fn stuck_after(&self) -> Result<Duration, InvalidConfig> {
        let default = Duration::from_mins(10);
        self.parsed("NOTIFY_FANOUT_STUCK_AFTER", None, default, |text| {
            let least = Duration::from_secs(1);
            let is_enough = |time: &Duration| *time >= least;
            let time = Some(parse_time(text)?).filter(is_enough);
            time.ok_or_else(|| "must be 1s at least: no statement may take longer".to_owned())
        })
    }

    /// Attempts before an event is given up.
    pub fn max_attempts(&self) -> Result<u32, InvalidConfig> {
        self.parsed("NOTIFY_FANOUT_MAX_ATTEMPTS", None, 5, |text| {
            whole(text, 1, 100).map_err(|error| format!("attempts must be {error}"))
        })
    }

    /// For how long an event may be due before `doctor` calls it a problem.
    pub fn overdue_after(&self) -> Result<Duration, InvalidConfig> {
        let default = Duration::from_mins(10);
        self.parsed("NOTIFY_FANOUT_OVERDUE_AFTER", None, default, parse_time)
    }

    /// Age from which on `prune` deletes; none where it is off.
    pub fn prune_older_than(
        &self,
        flag: Option<Duration>,
    ) -> Result<Option<Duration>, InvalidConfig> {
        let default = Some(Duration::from_hours(90 * 24));
        self.parsed("NOTIFY_PRUNE_OLDER_THAN", flag.map(Some), default, |text| {
            if text.eq_ignore_ascii_case("off") {
                return Ok(None);
            }
            let age = parse_time(text).map_err(|error| format!("{error}, or off"))?;
            Ok(Some(age))
        })
    }

    /// Whether an in-app mute covers e-mail where no preference decides that.
    pub fn mute_covers_email(&self) -> Result<bool, InvalidConfig> {
        self.parsed("NOTIFY_MUTE_COVERS_EMAIL", None, false, parse_bool)
    }

    /// Whether `run` only shows what it would do.
    pub fn dry_run(&self, flags: &RunFlags) -> Result<bool, InvalidConfig> {
        let flag = flags.dry_run.then_some(true);
        self.parsed("NOTIFY_FANOUT_DRY_RUN", flag, false, parse_bool)
    }

    /// Whether `run` refuses to run beside another instance.
    pub fn exclusive(&self, flags: &RunFlags) -> Result<bool, InvalidConfig> {
        let flag = flags.exclusive.then_some(true);
        self.parsed("NOTIFY_FANOUT_ALONE", flag, false, parse_bool)
    }

    /// Where the metrics of `run` go, if anywhere.
    pub fn metrics_file(&self) -> Result<Option<PathBuf>, InvalidConfig> {
        self.metrics_file_of(RUN_METRICS, DELIVERY_METRICS)
    }

    /// Where the metrics of `deliver` go, if anywhere.
    pub fn delivery_metrics_file(&self) -> Result<Option<PathBuf>, InvalidConfig> {
        self.metrics_file_of(DELIVERY_METRICS, RUN_METRICS)
    }

    /// The file that one variable names; the job that `other` belongs to would replace it if it had
    /// the same.
    fn metrics_file_of(
        &self,
        variable: &'static str,
        other: &'static str,
    ) -> Result<Option<PathBuf>, InvalidConfig> {
        let others = self.get(other).map(|path| absolute(path.trim()));
        self.parsed(variable, None, None, |text| {
            let path = PathBuf::from(text);
            if path.extension() != Some("prom".as_ref()) {
                return Err("must end in .prom: the collector reads no other files".to_owned());
            }
            if others == Some(absolute(text)) {
                return Err(format!(
                    "names the same file as {other}, and each job writes the whole of its own"
                ));
            }
            Ok(Some(path))
        })
    }

    /// What is logged.
    pub fn log_level(&self) -> Result<tracing::Level, InvalidConfig> {
        self.parsed("LOG_LEVEL", None, tracing::Level::INFO, |text| {
            match text.to_ascii_uppercase().as_str() {
                "DEBUG" => Ok(tracing::Level::DEBUG),
                "INFO" => Ok(tracing::Level::INFO),
                "WARN" | "WARNING" => Ok(tracing::Level::WARN),
                "ERROR" => Ok(tracing::Level::ERROR),
                _ => Err("must be DEBUG, INFO, WARN or ERROR".to_owned()),
            }
        })
    }

    /// How it is logged.
    pub fn log_format(&self) -> Result<LogFormat, InvalidConfig> {
        self.parsed("LOG_FORMAT", None, LogFormat::Text, |text| {
            match text.to_ascii_lowercase().as_str() {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("must be text or json".to_owned()),
            }
        })
    }
}

/// A time such as `90s`, `10m` or `1h 30m`.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("must be longer than nothing".to_owned()),
        Ok(time) if time > Duration::from_hours(10 * 365 * 24) => {
            Err("must be ten years at most".to_owned())
        }
        Ok(time) => Ok(time),
        Err(_) => Err("must be a time with its unit, such as 55s, 10m or 30d".to_owned()),
    }
}

fn parse_batch_size(text: &str) -> Result<u32, String> {
    whole(text, 1, 10_000).map_err(|error| format!("the batch size must be {error}"))
}

fn parse_hours(text: &str) -> Result<Duration, String> {
    let hours =
        whole(text, 1, 87_600).map_err(|error| format!("the age in hours must be {error}"))?;
    Ok(Duration::from_hours(u64::from(hours)))
}

fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("a whole number from {least} to {most}"))
}

/// Parts apart by commas. An error names the part, unless it is the only one: the whole value is
/// told after it.
fn parse_each<T, All: FromIterator<T>>(
    text: &str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<All, String> {
    let each = text.split(',').map(|part| {
        let part = part.trim();
        parse(part).ok_or_else(|| {
            let name = if text == part {
                String::new()
            } else {
                format!("{part:?} ")
            };
            format!("{name}must be {expected}")
        })
    });
    each.collect()
}

fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A path that can be compared with others, whether or not there is anything.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}

/// Variables with one of the service's prefixes that nothing reads: most likely misspelt.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    // The first is systemd's.
    let known = |name: &str| name == "NOTIFY_SOCKET" || VARIABLES.contains(&name);
    let is_ours = |name: &str| name.starts_with("NOTIFY_") || name.starts_with("NOTIFICATIONS_");
    names.filter(|name| is_ours(name) && !known(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn problem<T>(
        variable: &'static str,
        value: &str,
        read: impl Fn(&Source<'_>) -> Result<T, InvalidConfig>,
    ) -> String {
        let get = |name: &str| (name == variable).then(|| value.to_owned());
        read(&Source(&get))
            .err()
            .map_or_else(|| "accepted".to_owned(), |error| error.to_string())
    }

    #[test]
    fn metrics_go_to_a_file_each_that_the_collector_reads() {
        let read = |run: &str, delivery: &str| {
            let get = |name: &str| match name {
                RUN_METRICS => Some(run.to_owned()),
                DELIVERY_METRICS => Some(delivery.to_owned()),
                _ => None,
            };
            let source = Source(&get);
            let told = |file: Result<Option<PathBuf>, InvalidConfig>| match file {
                Ok(file) => format!("{file:?}"),
                Err(error) => error.to_string(),
            };
            [
                told(source.metrics_file()),
                told(source.delivery_metrics_file()),
            ]
        };
        assert_eq!(
            read("/m/a.prom", "b.prom "),
            [r#"Some("/m/a.prom")"#, r#"Some("b.prom")"#]
        );
        assert_eq!(read("", " "), ["None", "None"]);
        insta::assert_snapshot!(read("/m/a.prom.txt", "/m/.prom").join("\n"), @r#"
        NOTIFY_FANOUT_METRICS_FILE: must end in .prom: the collector reads no other files; it is "/m/a.prom.txt"
        NOTIFY_DELIVERY_METRICS_FILE: must end in .prom: the collector reads no other files; it is "/m/.prom"
        "#);
        insta::assert_snapshot!(read("/m/a.prom", "/m//./a.prom").join("\n"), @r#"
        NOTIFY_FANOUT_METRICS_FILE: names the same file as NOTIFY_DELIVERY_METRICS_FILE, and each job writes the whole of its own; it is "/m/a.prom"
        NOTIFY_DELIVERY_METRICS_FILE: names the same file as NOTIFY_FANOUT_METRICS_FILE, and each job writes the whole of its own; it is "/m//./a.prom"
        "#);
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let settings = |source: &Source<'_>| source.settings(&RunFlags::default(), String::new());
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_BATCH_SIZE", "0", settings),
            @r#"NOTIFY_FANOUT_BATCH_SIZE: the batch size must be a whole number from 1 to 10000; it is "0""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_STUCK_AFTER", "10", settings),
            @r#"NOTIFY_FANOUT_STUCK_AFTER: must be a time with its unit, such as 55s, 10m or 30d; it is "10""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_STUCK_AFTER", "10ms", settings),
            @r#"NOTIFY_FANOUT_STUCK_AFTER: must be 1s at least: no statement may take longer; it is "10ms""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS", "-1", settings),
            @r#"NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS: the age in hours must be a whole number from 1 to 87600; it is "-1""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_MAX_ATTEMPTS", "many", settings),
            @r#"NOTIFY_FANOUT_MAX_ATTEMPTS: attempts must be a whole number from 1 to 100; it is "many""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_IGNORE_TYPES", "sun_set, moon landed", settings),
            @r#"NOTIFY_FANOUT_IGNORE_TYPES: "moon landed" must be the name of an event type; it is "sun_set, moon landed""#);
        insta::assert_snapshot!(problem("NOTIFY_FANOUT_DRY_RUN", "ture", |source| source.dry_run(&RunFlags::default())),
            @r#"NOTIFY_FANOUT_DRY_RUN: must be true or false; it is "ture""#);
        insta::assert_snapshot!(problem("LOG_LEVEL", "LOUD", |source| source.log_level().map(drop)),
            @r#"LOG_LEVEL: must be DEBUG, INFO, WARN or ERROR; it is "LOUD""#);
    }

    #[test]
    fn an_error_never_repeats_the_url() {
        let error = problem("DATABASE_URL", "mysql://me:hunter2@host/db", |source| {
            source.database().map(drop)
        });
        assert!(
            error.starts_with("DATABASE_URL: not a PostgreSQL URL"),
            "{error}"
        );
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn an_http_address_is_told_from_a_connection_string() {
        let error = problem("SUPABASE_URL", "https://abc.supabase.co", |source| {
            source.database().map(drop)
        });
        assert!(error.contains("connection string"), "{error}");
    }

    #[test]
    fn flags_win_and_empty_is_unset() {
        let flags = RunFlags {
            batch_size: Some(7),
            ..RunFlags::default()
        };
        let get = |name: &str| match name {
            "NOTIFY_FANOUT_BATCH_SIZE" => Some("wrong".to_owned()),
            "NOTIFY_FANOUT_MAX_RUNTIME" => Some(" ".to_owned()),
            _ => None,
        };
        let settings = Source(&get).settings(&flags, String::new()).expect("valid");
        assert_eq!(
            (settings.batch_size, settings.max_runtime.as_secs()),
            (7, 55)
        );
    }

    #[test]
    fn ignored_types_have_every_spelling() {
        let get = |name: &str| {
            (name == "NOTIFY_FANOUT_IGNORE_TYPES").then(|| "sun_set, margin_alert".to_owned())
        };
        let ignored = Source(&get).ignored_types().expect("valid");
        assert_eq!(ignored, ["sun_set", "margin_alert", "margin.alert"]);
    }

    #[test]
    fn every_variable_is_documented() {
        for (file, text) in [
            ("README.md", include_str!("../README.md")),
            (".env.example", include_str!("../.env.example")),
        ] {
            for variable in VARIABLES {
                assert!(text.contains(variable), "{variable} is not in {file}");
            }
        }
    }

    #[test]
    fn misspelt_variables_are_found() {
        let names = [
            "NOTIFY_FANOUT_BATCHSIZE",
            "NOTIFY_FANOUT_BATCH_SIZE",
            "NOTIFY_OUTGOING_ALOW",
            "NOTIFY_SOCKET",
            "NOTIFICATIONS_SLACK_URL",
            "NOTIFICATIONS_SLACK_ENABLED",
            "PATH",
        ];
        let unknown = unknown_variables(names.into_iter().map(str::to_owned));
        assert_eq!(
            unknown,
            [
                "NOTIFY_FANOUT_BATCHSIZE",
                "NOTIFY_OUTGOING_ALOW",
                "NOTIFICATIONS_SLACK_URL"
            ]
        );
    }
}
