//! How values are read. An error says what is allowed, and repeats nothing of the value.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use tracing::Level;
use url::Url;

use super::LogFormat;
use crate::channels::twilio::Sender;
use crate::channels::{Channel, EmailTransport};
use crate::db::Database;
use crate::domain::base_url::{BaseUrl, web};
use crate::domain::secret_keys::SecretKeys;
use crate::handlers::{EventType, Links};

type Parsed<T> = Result<T, String>;

/// A value whose type says itself what is wrong with it.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Parsed<T> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[expect(clippy::unnecessary_wraps, reason = "the list takes parsers")]
pub(super) fn secret(text: &str) -> Parsed<SecretString> {
    Ok(text.into())
}

pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let mut all = choices.iter();
    let chosen = all.find(|(name, _)| text.eq_ignore_ascii_case(name));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let (last, first) = names.split_last().unwrap_or((&"", &[]));
        format!("must be {} or {last}", first.join(", "))
    })
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

pub(super) fn whole(text: &str, least: u32, most: u32) -> Parsed<u32> {
    let number = text.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

pub(super) fn hours(text: &str) -> Parsed<Duration> {
    whole(text, 1, 87_600).map(|hours| Duration::from_hours(hours.into()))
}

/// A time such as `90s`, `10m` or `1h 30m`.
pub(crate) fn time(text: &str) -> Parsed<Duration> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("must be longer than nothing".to_owned()),
        Ok(time) if time > Duration::from_hours(10 * 365 * 24) => {
            Err("must be ten years at most".to_owned())
        }
        Ok(time) => Ok(time),
        Err(_) => Err("must be a time with its unit, such as 55s, 10m or 30d".to_owned()),
    }
}

pub(super) fn statement_timeout(text: &str) -> Parsed<Duration> {
    match time(text)? {
        time if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("must be 1s at least: no statement may take longer".to_owned()),
    }
}

pub(super) fn acceptance_timeout(text: &str) -> Parsed<Duration> {
    match time(text)? {
        time if time <= Duration::from_hours(1) => Ok(time),
        _ => Err("must be 1h at most".to_owned()),
    }
}

pub(super) fn poll_max(text: &str) -> Parsed<Duration> {
    let time = time(text)?;
    if time < Duration::from_millis(10) || time > Duration::from_hours(1) {
        return Err("must be 10ms at least and 1h at most".to_owned());
    }
    Ok(time)
}

/// Windows begin with the day, so a day has to consist of them.
pub(super) fn digest_window(text: &str) -> Parsed<Duration> {
    let window = time(text)?;
    let (seconds, day) = (window.as_secs(), 86_400);
    let fits = window.subsec_nanos() == 0
        && seconds >= 60
        && (day % seconds == 0 || seconds.is_multiple_of(day));
    if !fits {
        return Err("must be a part of a day such as 15m, 3h or 12h, or whole days".to_owned());
    }
    Ok(window)
}

/// `None`: nothing is ever pruned.
pub(super) fn prune_age(text: &str) -> Parsed<Option<Duration>> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let age = time(text).map_err(|error| format!("{error}, or off"))?;
    Ok(Some(age))
}

/// Parts separated by commas. An error names the part, unless it is the only one.
fn each<T, All: FromIterator<T>>(
    text: &str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Parsed<All> {
    let parts = text.split(',').map(|part| {
        let part = part.trim();
        parse(part).ok_or_else(|| {
            if text == part {
                format!("must be {expected}")
            } else {
                format!("{part:?} must be {expected}")
            }
        })
    });
    parts.collect()
}

/// Each type in every spelling.
pub(super) fn event_types(text: &str) -> Parsed<Vec<String>> {
    let types: Vec<_> = each(text, "the name of an event type", |name| {
        let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
        is_name.then(|| EventType::spellings_of(name))
    })?;
    Ok(types.concat())
}

/// An address is a network of its own.
pub(super) fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    let expected = "a network such as 10.0.0.0/8 or fd00::/8, or an address";
    each(text, expected, |part| {
        let network = part.parse::<IpNet>().ok();
        network.or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
    })
}

pub(super) fn held_channels(text: &str) -> Parsed<BTreeSet<Channel>> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    let expected = format!("one of {}, or none", Channel::names());
    each(text, &expected, |name| name.parse().ok())
}

pub(super) fn metrics_file(text: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(text);
    if path.extension() != Some("prom".as_ref()) {
        return Err("must end in .prom: the collector reads no other files".to_owned());
    }
    Ok(path)
}

pub(super) fn database_url(text: &str) -> Parsed<SecretString> {
    let url = SecretString::from(text);
    Database::new(&url, Duration::MAX)
        .map(|_| url)
        .map_err(|error| error.to_string())
}

pub(super) fn base_url(text: &str) -> Parsed<BaseUrl> {
    BaseUrl::parse(text).map_err(|error| error.to_string())
}

pub(super) fn https_url(text: &str) -> Parsed<BaseUrl> {
    let url = base_url(text)?;
    if !url.is_private() {
        return Err("must begin with https: RFC 8058 takes no other".to_owned());
    }
    Ok(url)
}

pub(super) fn preferences_url(text: &str) -> Parsed<String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    web(text).map(String::from).ok_or_else(|| {
        "must be a path such as /settings/notifications, or an address such as \
         https://app.example.com/settings"
            .to_owned()
    })
}

pub(super) fn provider_url(text: &str) -> Parsed<Url> {
    web(text).ok_or_else(|| "must be an address such as https://api.example.com".to_owned())
}

/// The path of a link, which may have these placeholders.
pub(super) fn link(path: &str, placeholders: &[&str]) -> Parsed<String> {
    let path = path.trim();
    Links::check(path, placeholders).map(|()| path.to_owned())
}

pub(super) fn unsubscribe_keys(text: &str) -> Parsed<SecretString> {
    let keys = SecretKeys::parse(text).map_err(|error| error.to_string());
    keys.map(|_| text.into())
}

pub(super) fn encryption_keys(text: &str) -> Parsed<SecretString> {
    let keys = SecretKeys::parse_exact(text).map_err(|error| error.to_string());
    keys.map(|_| text.into())
}

/// `None`: e-mails are held.
pub(super) fn email_transport(text: &str) -> Parsed<Option<EmailTransport>> {
    let choices = [
        ("smtp", Some(EmailTransport::Smtp)),
        ("resend", Some(EmailTransport::Resend)),
        ("sendgrid", Some(EmailTransport::SendGrid)),
        ("none", None),
    ];
    one_of(text, &choices)
}

fn is_twilio_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

pub(super) fn twilio_account(text: &str) -> Parsed<String> {
    if !is_twilio_id(text, "AC") {
        return Err("must be AC and 32 letters or digits".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn twilio_sender(text: &str) -> Parsed<Sender> {
    if is_twilio_id(text, "MG") {
        return Ok(Sender::Service(text.to_owned()));
    }
    let number = parsed(text).map(Sender::Number);
    number.map_err(|error| format!("{error}; or a messaging service, MG and 32 letters or digits"))
}

pub(super) fn log_level(text: &str) -> Parsed<Level> {
    let text = if text.eq_ignore_ascii_case("warning") {
        "WARN"
    } else {
        text
    };
    let choices = [
        ("DEBUG", Level::DEBUG),
        ("INFO", Level::INFO),
        ("WARN", Level::WARN),
        ("ERROR", Level::ERROR),
    ];
    one_of(text, &choices)
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    one_of(
        text,
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    )
}
