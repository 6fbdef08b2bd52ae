//! Configuration: every variable and flag, parsed once and whole into plain values.
//!
//! A flag wins over the environment, the environment over `.env`, and what is given but wrong is
//! refused, by the name of its flag or variable. A value is repeated only where it can't be a secret.

mod docs;
mod given;
mod parse;
mod routes;
mod settings;
mod variable;
mod variables;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use clap::ValueEnum;

pub(crate) use docs::markdown;
pub(crate) use given::{Given, Origin};
pub(crate) use parse::time as parse_time;
pub(crate) use variable::{Flag, Variable};
pub(crate) use variables::{Config, VARIABLES};

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A variable that was given but is wrong, or is missing and needed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub(crate) struct InvalidConfig {
    variable: &'static str,
    problem: String,
}

impl InvalidConfig {
    pub(crate) const fn new(variable: &'static str, problem: String) -> Self {
        Self { variable, problem }
    }

    /// A value that is needed and not given.
    pub(crate) fn missing(variable: &'static str, why: impl fmt::Display) -> Self {
        Self::new(variable, format!("not set{why}"))
    }
}

impl Given {
    /// Takes what the process was given; `before` are the names that its environment had without
    /// `.env`.
    pub(crate) fn of_process(before: &BTreeSet<OsString>) -> Self {
        Self::collect(VARIABLES, std::env::vars_os(), before)
    }
}

impl Config {
    /// Reads every variable. What is wrong comes beside, all at once, and has its default here.
    pub(crate) fn read(given: &Given) -> (Self, Vec<InvalidConfig>) {
        let mut reader = given::Reader::new(given, VARIABLES);
        let config = Self::from_reader(&mut reader);
        let mut wrong = reader.wrong;
        config.find_contradictions(&mut wrong);
        (config, wrong)
    }

    /// Values that are right by themselves, and not together.
    fn find_contradictions(&self, wrong: &mut Vec<InvalidConfig>) {
        wrong.extend(self.same_metrics_file());
        wrong.extend(self.routes().err());
        let policy = self.outgoing_policy();
        for (variable, url) in [
            ("NOTIFY_RESEND_BASE_URL", &self.resend_url),
            ("NOTIFY_SENDGRID_BASE_URL", &self.sendgrid_url),
            ("NOTIFY_TWILIO_BASE_URL", &self.twilio_url),
        ] {
            let refused = policy.check(url).err();
            wrong.extend(refused.map(|refused| InvalidConfig::new(variable, refused.to_string())));
        }
    }

    /// Each job writes the whole of its file, and would replace the other's.
    fn same_metrics_file(&self) -> Option<InvalidConfig> {
        let run = std::path::absolute(self.metrics_file.as_ref()?).ok()?;
        let deliver = std::path::absolute(self.delivery_metrics_file.as_ref()?).ok()?;
        (run == deliver).then(|| {
            InvalidConfig::new(
                "NOTIFY_DELIVERY_METRICS_FILE",
                format!(
                    "names the same file as NOTIFY_FANOUT_METRICS_FILE, and each job writes the whole \
                     of its own; it is {:?}",
                    deliver.display().to_string()
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration that variables make, and what is wrong with them, a line each.
    pub(super) fn read(variables: &[(&'static str, &str)]) -> (Config, String) {
        let mut given = Given::default();
        for (variable, text) in variables {
            given.set(variable, (*text).to_owned(), Origin::Environment);
        }
        let (config, wrong) = Config::read(&given);
        let wrong: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        (config, wrong.join("\n"))
    }

    #[test]
    fn every_default_is_right() {
        let (config, wrong) = read(&[]);
        assert_eq!(wrong, "");
        assert_eq!(config.rendering(), crate::handlers::Rendering::default());
    }

    #[test]
    fn misspelt_variables_are_found() {
        let names = "NOTIFY_FANOUT_BATCHSIZE NOTIFY_FANOUT_BATCH_SIZE NOTIFY_SOCKET PATH";
        let environment = names.split(' ').map(|name| (name.into(), "1".into()));
        let given = Given::collect(VARIABLES, environment, &BTreeSet::new());
        assert_eq!(given.unknown, ["NOTIFY_FANOUT_BATCHSIZE"]);
    }

    #[test]
    fn http_address_is_no_connection_string() {
        let (config, _) = read(&[("SUPABASE_URL", "https://abc.supabase.co")]);
        let error = config.database().expect_err("no database").to_string();
        assert!(error.contains("connection string"), "{error}");
    }

    const WRONG: [(&str, &str); 30] = [
        ("DATABASE_URL", "mysql://me:hunter2@host/db"),
        ("NOTIFY_FANOUT_BATCH_SIZE", "0"),
        ("NOTIFY_FANOUT_DRY_RUN", "ture"),
        ("NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS", "-1"),
        ("NOTIFY_FANOUT_IGNORE_TYPES", "sun_set, moon landed"),
        ("NOTIFY_FANOUT_STUCK_AFTER", "10"),
        ("NOTIFY_FANOUT_MAX_ATTEMPTS", "many"),
        ("NOTIFY_FANOUT_METRICS_FILE", "/m/a.prom.txt"),
        ("APP_BASE_URL", "https://me:hunter2@example.com"),
        ("NOTIFY_BODY_FORMAT", "html"),
        ("NOTIFY_LINK_TEAM", "/team/{user}"),
        ("NOTIFY_SMTP_URL", "mail.example.com:hunter2"),
        ("NOTIFY_SMTP_ACCEPTANCE_TIMEOUT", "2h"),
        ("NOTIFY_EMAIL_TRANSPORT", "fax"),
        ("NOTIFICATIONS_EMAIL_FROM", "hunter2"),
        ("NOTIFY_PREFERENCES_URL", "settings"),
        ("NOTIFY_UNSUBSCRIBE_URL", "http://app.example.com/out"),
        ("NOTIFY_UNSUBSCRIBE_KEY", "hunter2"),
        ("NOTIFY_DIGEST_EVERY", "7h"),
        ("NOTIFY_TWILIO_ACCOUNT_SID", "AC1"),
        ("NOTIFY_TWILIO_FROM", "Acme"),
        ("NOTIFY_SECRET_KEY", "hunter2!"),
        ("NOTIFY_OUTGOING_ALLOW", "10.0.0.0/8,localhost"),
        ("NOTIFY_OUTGOING_PLAIN_HTTP", "maybe"),
        ("NOTIFY_RESEND_BASE_URL", "http://127.0.0.1:1"),
        ("NOTIFY_DELIVERY_CONCURRENCY", "0"),
        ("NOTIFY_DELIVERY_RETRY_SCHEDULE", "5m;1h"),
        ("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "sms,fax"),
        ("NOTIFY_PRUNE_OLDER_THAN", "never"),
        ("LOG_LEVEL", "LOUD"),
    ];

    #[test]
    fn every_wrong_value_is_named_with_what_is_allowed() {
        let (_, wrong) = read(&WRONG);
        assert!(!wrong.contains("hunter2"), "{wrong}");
        insta::assert_snapshot!(wrong, @r#"
        DATABASE_URL: not a PostgreSQL URL of the form postgres://user:password@host:5432/database; percent-encode special characters of user and password
        NOTIFY_FANOUT_BATCH_SIZE: must be a whole number from 1 to 10000; it is "0"
        NOTIFY_FANOUT_DRY_RUN: must be true or false; it is "ture"
        NOTIFY_FANOUT_MAX_EVENT_AGE_HOURS: must be a whole number from 1 to 87600; it is "-1"
        NOTIFY_FANOUT_IGNORE_TYPES: "moon landed" must be the name of an event type; it is "sun_set, moon landed"
        NOTIFY_FANOUT_STUCK_AFTER: must be a time with its unit, such as 55s, 10m or 30d; it is "10"
        NOTIFY_FANOUT_MAX_ATTEMPTS: must be a whole number from 1 to 100; it is "many"
        NOTIFY_FANOUT_METRICS_FILE: must end in .prom: the collector reads no other files; it is "/m/a.prom.txt"
        APP_BASE_URL: must be an address such as https://app.example.com or https://example.com/app, without user, password, ? and #
        NOTIFY_BODY_FORMAT: must be plain or markdown; it is "html"
        NOTIFY_LINK_TEAM: it may have {org}, and no other braces; it is "/team/{user}"
        NOTIFY_SMTP_URL: must begin with smtp:// or smtps://
        NOTIFY_SMTP_ACCEPTANCE_TIMEOUT: must be 1h at most; it is "2h"
        NOTIFY_EMAIL_TRANSPORT: must be smtp, resend, sendgrid or none; it is "fax"
        NOTIFICATIONS_EMAIL_FROM: not a mail address, such as ada@example.com or Ada <ada@example.com>
        NOTIFY_PREFERENCES_URL: must be a path such as /settings/notifications, or an address such as https://app.example.com/settings
        NOTIFY_UNSUBSCRIBE_URL: must begin with https: RFC 8058 takes no other
        NOTIFY_UNSUBSCRIBE_KEY: key 1 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32
        NOTIFY_DIGEST_EVERY: must be a part of a day such as 15m, 3h or 12h, or whole days; it is "7h"
        NOTIFY_TWILIO_ACCOUNT_SID: must be AC and 32 letters or digits; it is "AC1"
        NOTIFY_TWILIO_FROM: a phone number has to be in the international form, such as +4915112345678; or a messaging service, MG and 32 letters or digits
        NOTIFY_SECRET_KEY: key 1 is neither base64 nor hexadecimal; make one with: openssl rand -base64 32
        NOTIFY_OUTGOING_ALLOW: "localhost" must be a network such as 10.0.0.0/8 or fd00::/8, or an address; it is "10.0.0.0/8,localhost"
        NOTIFY_OUTGOING_PLAIN_HTTP: must be true or false; it is "maybe"
        NOTIFY_DELIVERY_CONCURRENCY: must be a whole number from 1 to 1000; it is "0"
        NOTIFY_DELIVERY_RETRY_SCHEDULE: must be 1 to 50 times such as 5m, 30m, 2h, each from 1s to 24h; it is "5m;1h"
        NOTIFY_DELIVERY_HOLD_UNCERTAIN: "fax" must be one of email, sms, slack, discord, webhook, or none; it is "sms,fax"
        NOTIFY_PRUNE_OLDER_THAN: must be a time with its unit, such as 55s, 10m or 30d, or off; it is "never"
        LOG_LEVEL: must be DEBUG, INFO, WARN or ERROR; it is "LOUD"
        NOTIFY_RESEND_BASE_URL: the address is not encrypted (http://), which is not allowed here
        "#);
    }

    #[test]
    fn metrics_go_to_a_file_each() {
        let (_, wrong) = read(&[
            ("NOTIFY_FANOUT_METRICS_FILE", "/m/a.prom"),
            ("NOTIFY_DELIVERY_METRICS_FILE", "/m//./a.prom"),
        ]);
        insta::assert_snapshot!(wrong, @r#"NOTIFY_DELIVERY_METRICS_FILE: names the same file as NOTIFY_FANOUT_METRICS_FILE, and each job writes the whole of its own; it is "/m/a.prom""#);
    }

    #[test]
    fn times_have_their_limits() {
        let (_, wrong) = read(&[
            ("NOTIFY_FANOUT_STUCK_AFTER", "10ms"),
            ("NOTIFY_FANOUT_MAX_RUNTIME", "0s"),
            ("NOTIFY_DELIVERY_MAX_AGE", "11y"),
        ]);
        insta::assert_snapshot!(wrong, @r#"
        NOTIFY_FANOUT_STUCK_AFTER: must be 1s at least: no statement may take longer; it is "10ms"
        NOTIFY_FANOUT_MAX_RUNTIME: must be longer than nothing; it is "0s"
        NOTIFY_DELIVERY_MAX_AGE: must be ten years at most; it is "11y"
        "#);
    }

    #[test]
    fn flags_win_and_empty_is_unset() {
        let mut given = Given::default();
        for (variable, text, origin) in [
            ("NOTIFY_FANOUT_BATCH_SIZE", "wrong", Origin::Environment),
            ("NOTIFY_FANOUT_BATCH_SIZE", "7", Origin::Flag),
            ("NOTIFY_FANOUT_MAX_RUNTIME", " ", Origin::Environment),
        ] {
            given.set(variable, text.to_owned(), origin);
        }
        let (config, wrong) = Config::read(&given);
        assert_eq!(wrong, []);
        assert_eq!((config.batch_size, config.max_runtime.as_secs()), (7, 55));
    }

    #[test]
    fn values_are_read_in_every_form() {
        let (config, wrong) = read(&[
            ("NOTIFY_FANOUT_IGNORE_TYPES", "sun_set, margin_alert"),
            ("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "none"),
            ("NOTIFY_DIGEST_EVERY", "7d"),
            ("NOTIFY_BODY_FORMAT", "Markdown"),
            ("NOTIFY_UNSUBSCRIBE_URL", "http://localhost:3000/out"),
            ("NOTIFY_OUTGOING_ALLOW", " 10.1.0.0/16, 127.0.0.1,fd00::/8 "),
            ("NOTIFY_OUTGOING_PLAIN_HTTP", "yes"),
            ("NOTIFY_DELIVERY_CONCURRENCY", "2"),
            ("NOTIFY_PRUNE_OLDER_THAN", "off"),
        ]);
        assert_eq!(wrong, "");
        let ignored = config.ignored_types.as_deref().unwrap_or_default();
        assert_eq!(ignored, ["sun_set", "margin_alert", "margin.alert"]);
        assert!(config.hold_uncertain.is_empty() && config.prune_older_than.is_none());
        let delivery = config.delivery(None, String::new());
        assert_eq!((delivery.concurrency, delivery.per_target), (2, 2));
        let policy = config.outgoing_policy();
        for (url, is_permitted) in [
            ("http://127.0.0.1:8080/", true),
            ("https://10.1.2.3/", true),
            ("https://[fd00::1]/", true),
            ("https://127.0.0.2/", false),
        ] {
            let checked = policy.check(&url.parse().unwrap());
            assert_eq!(checked.is_ok(), is_permitted, "{url}");
        }
    }
}
