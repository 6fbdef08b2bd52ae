//! `DATABASE_URL`: all of it is obeyed, or refused by name. A parameter that nobody reads may be the
//! one that asks for TLS.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use url::Url;

/// How long a connection is waited for, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const SSL_MODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

const CONNECT_TIMEOUT_KEY: &str = "connect_timeout";
const APPLICATION_NAME: &str = "application_name";

/// Those that are obeyed; all but `connect_timeout` are read by sqlx.
const KNOWN: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
    APPLICATION_NAME,
    CONNECT_TIMEOUT_KEY,
];

/// Parameters that libpq or a provider's other clients obey: in each line the name, the values that hold
/// here anyway (`-`: none), and what to do where another is asked for.
const ELSEWHERE: &str = include_str!("url/elsewhere.txt");

const FORM: &str = "not a PostgreSQL URL of the form postgres://user:password@host:5432/database; \
                    percent-encode special characters of user and password";
/// libpq would try them in turn.
const SEVERAL_HOSTS: &str =
    "names several hosts; give one: the primary, or a proxy or address that leads to it";

/// Why `DATABASE_URL` is refused. The text repeats nothing that may be a secret: names of parameters
/// and of files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

fn refused<T>(problem: impl Into<String>) -> Result<T, InvalidUrl> {
    Err(InvalidUrl(problem.into()))
}

/// What a URL says.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) options: PgConnectOptions,
    pub(super) connect_timeout: Duration,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let is_of_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_of_postgres || is_cut_short(url) {
            return refused(FORM);
        }
        if names_several_hosts(url) {
            return refused(SEVERAL_HOSTS);
        }
        let mut parsed: Url = url.parse().or_else(|_| refused(FORM))?;
        let (mut connect_timeout, mut application_name) = (CONNECT_TIMEOUT, None);
        let mut read_by_sqlx = Vec::new();
        for (name, value) in parsed.query_pairs() {
            check(&name, &value)?;
            match &*name {
                CONNECT_TIMEOUT_KEY => connect_timeout = seconds(&value)?,
                APPLICATION_NAME => application_name = Some(value.into_owned()),
                // What holds anyway is nothing to tell.
                other if elsewhere(other).is_some() => {}
                _ => read_by_sqlx.push((name.into_owned(), value.into_owned())),
            }
        }
        let is_given = |name: &str| read_by_sqlx.iter().any(|(given, _)| given == name);
        if is_given("sslcert") != is_given("sslkey") {
            return refused("sslcert must be given together with sslkey");
        }
        parsed.query_pairs_mut().clear().extend_pairs(read_by_sqlx);
        let options = parsed.as_str().parse::<PgConnectOptions>();
        let options = options.or_else(|_| refused(FORM))?;
        let application_name = application_name.as_deref().unwrap_or("notify-fan-out");
        Ok(Self {
            options: options.application_name(application_name),
            connect_timeout,
        })
    }
}

fn check(name: &str, value: &str) -> Result<(), InvalidUrl> {
    if let Some((holds, advice)) = elsewhere(name) {
        return match holds {
            "-" => refused(format!("{name} is not supported: {advice}")),
            _ if holds.split(',').any(|hold| hold == value) => Ok(()),
            _ => {
                let holds = holds.replace(',', " or ");
                refused(format!("{name} can only be {holds}: {advice}"))
            }
        };
    }
    let is_known = KNOWN.contains(&name) || name.starts_with("options[") && name.ends_with(']');
    if !is_known {
        let advice = hint(name, KNOWN).unwrap_or_else(|| "leave it out".to_owned());
        return refused(format!("unknown parameter {name}; {advice}"));
    }
    match name {
        "sslmode" if !SSL_MODES.contains(&value) => {
            let hint = hint(value, SSL_MODES).map(|hint| format!("; {hint}"));
            refused(format!(
                "sslmode must be one of {}{}",
                SSL_MODES.join(", "),
                hint.unwrap_or_default()
            ))
        }
        "port" if value.parse::<u16>().is_err() => refused("port must be a number up to 65535"),
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => {
            refused("hostaddr must be an IP address")
        }
        "sslrootcert" | "sslcert" | "sslkey" => match std::fs::File::open(value) {
            Ok(_) => Ok(()),
            Err(error) => refused(format!("{name}: {value} can't be read: {error}")),
        },
        _ => Ok(()),
    }
}

fn elsewhere(name: &str) -> Option<(&'static str, &'static str)> {
    let mut lines = ELSEWHERE.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split_once(' '))
}

fn seconds(value: &str) -> Result<Duration, InvalidUrl> {
    match value.parse() {
        Ok(seconds @ 1..=600) => Ok(Duration::from_secs(seconds)),
        _ => refused(format!(
            "{CONNECT_TIMEOUT_KEY} must be a whole number of seconds from 1 to 600"
        )),
    }
}

/// The name that differs least, where it does not differ in more than a slip would.
fn hint(given: &str, names: &[&str]) -> Option<String> {
    let distance = |name: &&str| {
        strsim::osa_distance(
            &given.to_lowercase().replace(['-', '_'], ""),
            &name.replace(['-', '_'], ""),
        )
    };
    let nearest = names.iter().min_by_key(|name| distance(name))?;
    (distance(nearest) <= 2).then(|| format!("did you mean {nearest}?"))
}

fn names_several_hosts(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    let has_several = |hosts: &str| hosts.contains(',') || hosts.contains("%2C");
    let in_query = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        ["host", "hostaddr", "port"].contains(&name) && has_several(value)
    };
    has_several(hosts) || query.split('&').any(in_query)
}

/// Whether user or password hold a `/`, `?` or `#` as it is, which ends the part of the URL that they
/// belong to: the rest of them would be taken for host and database, and be shown in messages.
fn is_cut_short(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (path, query) = rest[end..].split_once('?').unwrap_or((&rest[end..], ""));
    // An abstract socket's name begins with it.
    let misplaced = |parameter: &str| {
        parameter
            .strip_prefix("host=@")
            .unwrap_or(parameter)
            .contains('@')
    };
    rest.contains('#') || path.contains('@') || query.split('&').any(misplaced)
}

#[cfg(test)]
mod tests;
