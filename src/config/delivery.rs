//! How `deliver` goes about its work.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::{InvalidConfig, Source, parse_bool, parse_each, parse_time, whole};
use crate::delivery::{Pace, Post, Rules, Settings};
use crate::domain::channel::Kind;
use crate::domain::schedule::Schedule;

/// What `deliver` takes besides the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct DeliverFlags {
    /// Show what would be sent, in a transaction that cannot write; nothing is sent
    #[arg(long)]
    pub dry_run: bool,
    /// Stop after this many messages [default: none]
    #[arg(long, value_name = "MESSAGES", value_parser = parse_limit)]
    pub limit: Option<u64>,
    /// Begin nothing after this time, such as 55s or 5m
    #[arg(help = "Begin nothing after this time, such as 55s or 5m [env: NOTIFY_DELIVERY_MAX_RUNTIME] [default: 55s]", long, value_name = "TIME", value_parser = parse_time)]
    pub max_runtime: Option<Duration>,
    /// Messages on their way at once
    #[arg(help = "Messages on their way at once [env: NOTIFY_DELIVERY_CONCURRENCY] [default: 20]", long, value_name = "MESSAGES", value_parser = parse_concurrency)]
    pub concurrency: Option<u32>,
    /// Of these, to one target, per process
    #[arg(help = "Of these, to one target, per process [env: NOTIFY_DELIVERY_PER_TARGET] [default: 4]", long, value_name = "MESSAGES", value_parser = parse_concurrency)]
    pub per_target: Option<u32>,
    /// Refuse to run beside another instance
    #[arg(
        help = "Refuse to run beside another instance [env: NOTIFY_DELIVERY_ALONE] [default: share the work]",
        long,
        alias = "alone"
    )]
    pub exclusive: bool,
}

impl Source<'_> {
    /// How a run of `deliver` goes about its work.
    pub fn delivery_settings(
        &self,
        flags: &DeliverFlags,
        sender_id: String,
    ) -> Result<Settings, InvalidConfig> {
        let concurrency = self.parsed(
            "NOTIFY_DELIVERY_CONCURRENCY",
            flags.concurrency,
            20,
            parse_concurrency,
        )?;
        let per_target = self.parsed(
            "NOTIFY_DELIVERY_PER_TARGET",
            flags.per_target,
            4.min(concurrency),
            parse_concurrency,
        )?;
        Ok(Settings {
            concurrency,
            per_target,
            max_runtime: self.parsed(
                "NOTIFY_DELIVERY_MAX_RUNTIME",
                flags.max_runtime,
                Duration::from_secs(55),
                parse_time,
            )?,
            limit: flags.limit,
            digest_every: self.parsed(
                "NOTIFY_DIGEST_EVERY",
                None,
                Duration::from_hours(3),
                parse_window,
            )?,
            max_age: self.parsed(
                "NOTIFY_DELIVERY_MAX_AGE",
                None,
                Duration::from_hours(3 * 24),
                parse_time,
            )?,
            mute_covers_email: self.mute_covers_email()?,
            rules: self.delivery_rules()?,
            sender_id,
        })
    }

    /// What is done about failures.
    fn delivery_rules(&self) -> Result<Rules, InvalidConfig> {
        let schedule = |text: &str| text.parse::<Schedule>().map_err(|error| error.to_string());
        Ok(Rules {
            patient: self.parsed(
                "NOTIFY_DELIVERY_RETRY_SCHEDULE",
                None,
                Schedule::patient(),
                schedule,
            )?,
            eager: self.parsed(
                "NOTIFY_DELIVERY_CHAT_RETRY_SCHEDULE",
                None,
                Schedule::eager(),
                schedule,
            )?,
            held: self.parsed(
                "NOTIFY_DELIVERY_HOLD_UNCERTAIN",
                None,
                BTreeSet::from([Kind::Sms, Kind::Slack, Kind::Discord]),
                parse_held,
            )?,
        })
    }

    /// Whether `deliver` only shows what it would do.
    pub fn delivery_dry_run(&self, flags: &DeliverFlags) -> Result<bool, InvalidConfig> {
        let flag = flags.dry_run.then_some(true);
        self.parsed("NOTIFY_DELIVERY_DRY_RUN", flag, false, parse_bool)
    }

    /// Whether `deliver` refuses to run beside another instance.
    pub fn delivery_exclusive(&self, flags: &DeliverFlags) -> Result<bool, InvalidConfig> {
        let flag = flags.exclusive.then_some(true);
        self.parsed("NOTIFY_DELIVERY_ALONE", flag, false, parse_bool)
    }

    /// All ways out of the building.
    pub fn post(&self) -> Result<Post, InvalidConfig> {
        let outgoing = self.outgoing()?;
        Ok(Post {
            mail: self.mail(&outgoing)?,
            twilio: self.twilio(&outgoing)?,
            outgoing,
            routes: self.routes()?,
            encryption: self.encryption()?,
            app_url: self.app_url()?,
            pace: Pace::default(),
        })
    }
}

fn parse_concurrency(text: &str) -> Result<u32, String> {
    whole(text, 1, 1_000).map_err(|error| format!("messages at once must be {error}"))
}

fn parse_limit(text: &str) -> Result<u64, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| "must be a whole number from 1".to_owned())
}

/// Windows begin with the day, so a day has to consist of them.
fn parse_window(text: &str) -> Result<Duration, String> {
    let window = parse_time(text)?;
    let (seconds, day) = (window.as_secs(), 86_400);
    let fits = window.subsec_nanos() == 0
        && seconds >= 60
        && (day % seconds == 0 || seconds.is_multiple_of(day));
    if fits {
        Ok(window)
    } else {
        Err("must be a part of a day such as 15m, 3h or 12h, or whole days".to_owned())
    }
}

fn parse_held(text: &str) -> Result<BTreeSet<Kind>, String> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    let expected = "one of email, sms, slack, discord, webhook, or none";
    parse_each(text, expected, |name| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(name: &str, value: &str) -> Result<Settings, InvalidConfig> {
        let get = |variable: &str| (variable == name).then(|| value.to_owned());
        Source(&get).delivery_settings(&DeliverFlags::default(), String::new())
    }

    #[test]
    fn what_is_given_is_taken() {
        let window =
            |text| settings("NOTIFY_DIGEST_EVERY", text).map(|settings| settings.digest_every);
        assert_eq!(window("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(window("7d"), Ok(Duration::from_hours(168)));
        let held = |text| {
            settings("NOTIFY_DELIVERY_HOLD_UNCERTAIN", text).map(|settings| settings.rules.held)
        };
        assert_eq!(held("none"), Ok(BTreeSet::new()));
        assert_eq!(
            held("sms, email"),
            Ok(BTreeSet::from([Kind::Email, Kind::Sms]))
        );
        let one = settings("NOTIFY_DELIVERY_CONCURRENCY", "2").expect("settings");
        assert_eq!((one.concurrency, one.per_target), (2, 2));
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let problem = |name, value| settings(name, value).expect_err("wrong").to_string();
        insta::assert_snapshot!(problem("NOTIFY_DELIVERY_CONCURRENCY", "0"), @r#"NOTIFY_DELIVERY_CONCURRENCY: messages at once must be a whole number from 1 to 1000; it is "0""#);
        insta::assert_snapshot!(problem("NOTIFY_DIGEST_EVERY", "7h"), @r#"NOTIFY_DIGEST_EVERY: must be a part of a day such as 15m, 3h or 12h, or whole days; it is "7h""#);
        insta::assert_snapshot!(problem("NOTIFY_DIGEST_EVERY", "3"), @r#"NOTIFY_DIGEST_EVERY: must be a time with its unit, such as 55s, 10m or 30d; it is "3""#);
        insta::assert_snapshot!(problem("NOTIFY_DELIVERY_RETRY_SCHEDULE", "5m;1h"), @r#"NOTIFY_DELIVERY_RETRY_SCHEDULE: must be 1 to 50 times such as 5m, 30m, 2h, each from 1s to 24h; it is "5m;1h""#);
        insta::assert_snapshot!(problem("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "fax"), @r#"NOTIFY_DELIVERY_HOLD_UNCERTAIN: must be one of email, sms, slack, discord, webhook, or none; it is "fax""#);
        insta::assert_snapshot!(problem("NOTIFY_DELIVERY_HOLD_UNCERTAIN", "sms,fax"), @r#"NOTIFY_DELIVERY_HOLD_UNCERTAIN: "fax" must be one of email, sms, slack, discord, webhook, or none; it is "sms,fax""#);
    }
}
