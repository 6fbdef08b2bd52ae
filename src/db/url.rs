//! `DATABASE_URL`: all of it is obeyed, or refused by name. A parameter that nobody reads may be the
//! one that asks for TLS.

use std::path::Path;
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

/// Parameters that libpq or a provider's other clients obey: the values that hold here anyway, and what to
/// do where another is asked for. The empty advice is to leave it out.
const ELSEWHERE: &[(&str, &[&str], &str)] = &[
    (
        "channel_binding",
        &["disable", "prefer"],
        "logins use SCRAM-SHA-256 without channel binding; leave it out, and let sslmode=verify-full \
         prove who the server is",
    ),
    (
        "pgbouncer",
        &["true", "false"],
        "no statement stays prepared on the server",
    ),
    ("connection_limit", &[], NO_POOL),
    ("pool_timeout", &[], NO_POOL),
    ("schema", &[], "write options=-csearch_path%3DNAME"),
    (
        "ssl",
        &[],
        "write sslmode=require, or better sslmode=verify-full",
    ),
    ("sslaccept", &[], "write sslmode=verify-full"),
    (
        "target_session_attrs",
        &["any"],
        "one host is connected to, whatever its role; leave it out",
    ),
    ("load_balance_hosts", &["disable"], ""),
    ("keepalives", &["0"], DEADLINES),
    ("keepalives_count", &[], DEADLINES),
    ("keepalives_idle", &[], DEADLINES),
    ("keepalives_interval", &[], DEADLINES),
    ("tcp_user_timeout", &[], DEADLINES),
    ("client_encoding", &["UTF8", "utf8", "auto"], ""),
    ("fallback_application_name", &[], "write application_name"),
    ("gssencmode", &["disable", "prefer"], ""),
    ("sslnegotiation", &["postgres"], ""),
    ("sslsni", &["1"], ""),
    ("sslcompression", &["0"], ""),
    (
        "ssl_min_protocol_version",
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
        "",
    ),
    ("ssl_max_protocol_version", &["TLSv1.3"], ""),
    ("passfile", &[], "set PGPASSFILE"),
    ("service", &[], "write host, user and database into the URL"),
    (
        "sslpassword",
        &[],
        "give sslkey a file that is not encrypted",
    ),
    ("gssdelegation", &["0"], ""),
    ("gsslib", &[], ""),
    ("krbsrvname", &[], ""),
    ("max_protocol_version", &[], ""),
    ("min_protocol_version", &[], ""),
    ("replication", &["false"], ""),
    ("require_auth", &[], ""),
    ("requirepeer", &[], ""),
    ("scram_client_key", &[], ""),
    ("scram_server_key", &[], ""),
    ("sslcertmode", &["allow"], ""),
    ("sslcrl", &[], ""),
    ("sslcrldir", &[], ""),
    ("sslkeylogfile", &[], ""),
];
const NO_POOL: &str = "a command opens one or two connections and keeps no pool; leave it out";
const DEADLINES: &str = "each wait for the server has a deadline instead; leave it out";

/// Why `DATABASE_URL` is refused. The text repeats nothing that may be a secret: names of parameters
/// and of files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// No URL of PostgreSQL, or one that a special character cuts short.
    #[error(
        "not a PostgreSQL URL of the form postgres://user:password@host:5432/database; \
         percent-encode special characters of user and password"
    )]
    Form,
    /// libpq tries several hosts in turn.
    #[error("names several hosts; give one: the primary, or a proxy or address that leads to it")]
    SeveralHosts,
    /// A parameter that nobody knows.
    #[error("unknown parameter {name}; {}", advice(.nearest.as_deref()))]
    Unknown {
        /// As it was given.
        name: String,
        /// The one that was perhaps meant.
        nearest: Option<String>,
    },
    /// A parameter that other clients obey.
    #[error("{name} {}: {advice}", limits(.holds))]
    Unsupported {
        /// The parameter.
        name: &'static str,
        /// The values that may stay.
        holds: &'static [&'static str],
        /// What to do about others.
        advice: &'static str,
    },
    /// A value that its parameter does not take.
    #[error("{name} must be {kind}{}", hint(.nearest.as_deref()))]
    Value {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        kind: String,
        /// The value that was perhaps meant.
        nearest: Option<String>,
    },
    /// A file that can't be read.
    #[error("{name}: {path} can't be read: {problem}")]
    File {
        /// The parameter.
        name: String,
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
}

fn limits(holds: &[&str]) -> String {
    match holds {
        [] => "is not supported".to_owned(),
        holds => format!("can only be {}", holds.join(" or ")),
    }
}

fn advice(nearest: Option<&str>) -> String {
    nearest.map_or_else(
        || "leave it out".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    )
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

/// What a URL says.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) options: PgConnectOptions,
    pub(super) connect_timeout: Duration,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://"))
            || is_cut_short(url)
        {
            return Err(InvalidUrl::Form);
        }
        if names_several_hosts(url) {
            return Err(InvalidUrl::SeveralHosts);
        }
        let mut parsed: Url = url.parse().map_err(|_| InvalidUrl::Form)?;
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
            return Err(InvalidUrl::Value {
                name: "sslcert",
                kind: "given together with sslkey".to_owned(),
                nearest: None,
            });
        }
        parsed.query_pairs_mut().clear().extend_pairs(read_by_sqlx);
        let options: PgConnectOptions = parsed.as_str().parse().map_err(|_| InvalidUrl::Form)?;
        let application_name = application_name.as_deref().unwrap_or("notify-fan-out");
        Ok(Self {
            options: options.application_name(application_name),
            connect_timeout,
        })
    }
}

fn check(name: &str, value: &str) -> Result<(), InvalidUrl> {
    let is_known = KNOWN.contains(&name) || name.starts_with("options[") && name.ends_with(']');
    if let Some(&(name, holds, advice)) = elsewhere(name) {
        let advice = if advice.is_empty() {
            "leave it out"
        } else {
            advice
        };
        return if holds.contains(&value) {
            Ok(())
        } else {
            Err(InvalidUrl::Unsupported {
                name,
                holds,
                advice,
            })
        };
    }
    if !is_known {
        return Err(InvalidUrl::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, KNOWN),
        });
    }
    match name {
        "sslmode" if !SSL_MODES.contains(&value) => Err(InvalidUrl::Value {
            name: "sslmode",
            kind: format!("one of {}", SSL_MODES.join(", ")),
            nearest: nearest(value, SSL_MODES),
        }),
        "port" if value.parse::<u16>().is_err() => Err(InvalidUrl::Value {
            name: "port",
            kind: "a number up to 65535".to_owned(),
            nearest: None,
        }),
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => Err(InvalidUrl::Value {
            name: "hostaddr",
            kind: "an IP address".to_owned(),
            nearest: None,
        }),
        "sslrootcert" | "sslcert" | "sslkey" => readable(name, value),
        _ => Ok(()),
    }
}

fn elsewhere(name: &str) -> Option<&'static (&'static str, &'static [&'static str], &'static str)> {
    ELSEWHERE.iter().find(|(other, ..)| *other == name)
}

fn readable(name: &str, path: &str) -> Result<(), InvalidUrl> {
    let file = std::fs::File::open(Path::new(path));
    file.map(|_| ()).map_err(|error| InvalidUrl::File {
        name: name.to_owned(),
        path: path.to_owned(),
        problem: error.to_string(),
    })
}

fn seconds(value: &str) -> Result<Duration, InvalidUrl> {
    let seconds = value
        .parse()
        .ok()
        .filter(|&seconds| (1..=600).contains(&seconds));
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| InvalidUrl::Value {
            name: CONNECT_TIMEOUT_KEY,
            kind: "a whole number of seconds from 1 to 600".to_owned(),
            nearest: None,
        })
}

/// The name that differs least, where it does not differ in more than a slip would.
fn nearest(given: &str, names: &[&str]) -> Option<String> {
    let distance = |name: &&str| {
        strsim::osa_distance(
            &given.to_lowercase().replace(['-', '_'], ""),
            &name.replace(['-', '_'], ""),
        )
    };
    let nearest = names.iter().min_by_key(|name| distance(name))?;
    (distance(nearest) <= 2).then(|| (*nearest).to_owned())
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
