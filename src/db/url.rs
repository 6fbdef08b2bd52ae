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

/// Those that only libpq obeys.
const OF_LIBPQ: &[&str] = &[
    "channel_binding",
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslnegotiation",
    "sslpassword",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

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
    /// A parameter that only libpq obeys.
    #[error("parameter {0} is one of libpq that this service does not support; leave it out")]
    Unsupported(String),
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
    if OF_LIBPQ.contains(&name) {
        return Err(InvalidUrl::Unsupported(name.to_owned()));
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
mod tests {
    use super::*;

    fn said(url: &str) -> String {
        match Place::parse(url) {
            Ok(place) => format!(
                "{:?} {:?} {:?} within {:?} as {}",
                place.options.get_host(),
                place.options.get_port(),
                place.options.get_ssl_mode(),
                place.connect_timeout,
                place.options.get_application_name().unwrap_or_default(),
            ),
            Err(error) => error.to_string(),
        }
    }

    fn with(parameters: &str) -> String {
        said(&format!(
            "postgres://me:hunter2@db.example.com/app?{parameters}"
        ))
    }

    #[test]
    fn every_parameter_is_obeyed_or_refused_by_name() {
        insta::assert_snapshot!(
            [
                "",
                "sslmode=require&connect_timeout=3&application_name=nightly",
                "options=-csearch_path=notify&options[statement_timeout]=5",
                "sslmod=require",
                "ssl-mode=require",
                "connectTimeout=3",
                "pgbouncer=true",
                "channel_binding=require",
                "sslmode=requre",
                "sslmode=on",
                "sslmode=",
                "sslrootcert=/nowhere/ca.pem",
                "sslcert=/dev/null",
                "port=five",
                "hostaddr=db",
                "host=a,b",
                "host=a%2Cb",
                "connect_timeout=0",
                "connect_timeout=soon",
            ]
            .map(|parameters| format!("{parameters}: {}", with(parameters)))
            .join("\n"),
            @r#"
            : "db.example.com" 5432 Prefer within 10s as notify-fan-out
            sslmode=require&connect_timeout=3&application_name=nightly: "db.example.com" 5432 Require within 3s as nightly
            options=-csearch_path=notify&options[statement_timeout]=5: "db.example.com" 5432 Prefer within 10s as notify-fan-out
            sslmod=require: unknown parameter sslmod; did you mean sslmode?
            ssl-mode=require: unknown parameter ssl-mode; did you mean sslmode?
            connectTimeout=3: unknown parameter connectTimeout; did you mean connect_timeout?
            pgbouncer=true: unknown parameter pgbouncer; leave it out
            channel_binding=require: parameter channel_binding is one of libpq that this service does not support; leave it out
            sslmode=requre: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full; did you mean require?
            sslmode=on: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full
            sslmode=: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full
            sslrootcert=/nowhere/ca.pem: sslrootcert: /nowhere/ca.pem can't be read: No such file or directory (os error 2)
            sslcert=/dev/null: sslcert must be given together with sslkey
            port=five: port must be a number up to 65535
            hostaddr=db: hostaddr must be an IP address
            host=a,b: names several hosts; give one: the primary, or a proxy or address that leads to it
            host=a%2Cb: names several hosts; give one: the primary, or a proxy or address that leads to it
            connect_timeout=0: connect_timeout must be a whole number of seconds from 1 to 600
            connect_timeout=soon: connect_timeout must be a whole number of seconds from 1 to 600
            "#
        );
        insta::assert_snapshot!(
            [
                "postgres://me:hunter2@a:5432,b:5433/app",
                "postgres://a,b/app",
                "postgres://me:a,b@db/app",
                "mysql://me:hunter2@db/app",
                "postgres://me:hunter2@db:port/app",
            ]
            .map(|url| format!("{url}: {}", said(url)))
            .join("\n"),
            @r#"
            postgres://me:hunter2@a:5432,b:5433/app: names several hosts; give one: the primary, or a proxy or address that leads to it
            postgres://a,b/app: names several hosts; give one: the primary, or a proxy or address that leads to it
            postgres://me:a,b@db/app: "db" 5432 Prefer within 10s as notify-fan-out
            mysql://me:hunter2@db/app: not a PostgreSQL URL of the form postgres://user:password@host:5432/database; percent-encode special characters of user and password
            postgres://me:hunter2@db:port/app: not a PostgreSQL URL of the form postgres://user:password@host:5432/database; percent-encode special characters of user and password
            "#
        );
    }

    #[test]
    fn nothing_of_a_password_is_printed() {
        for url in [
            "postgres://me:12/hunter2@host:5432/db",
            "postgres://me:hunter/2@host:5432/db",
            "postgres://me:12?hunter2@host:5432/db",
            "postgres://me:12?host=hunter2@host:5432/db",
            "postgres://me:12?user=x&hunter2@host:5432/db",
            "postgres://me:12#hunter2@host:5432/db",
            "postgres://me:p@12/hunter2@host/db",
            "postgres://me:12/hunter?2#x@host/db",
            "postgres://host/db#hunter2",
        ] {
            let printed = said(url);
            assert!(
                printed.ends_with("; percent-encode special characters of user and password"),
                "{url}: {printed}"
            );
            assert!(!printed.contains("hunter"), "{url}: {printed}");
        }
    }
}
