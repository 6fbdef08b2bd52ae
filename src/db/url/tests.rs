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
            "connectTimeout=3",
            "pgbouncer=yes",
            "channel_binding=require",
            "ssl=true",
            "target_session_attrs=read-write",
            "supa=base-pooler.x",
            "sslmode=requre",
            "sslmode=on",
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
        connectTimeout=3: unknown parameter connectTimeout; did you mean connect_timeout?
        pgbouncer=yes: pgbouncer can only be true or false: no statement stays prepared on the server
        channel_binding=require: channel_binding can only be disable or prefer: logins use SCRAM-SHA-256 without channel binding; leave it out, and let sslmode=verify-full prove who the server is
        ssl=true: ssl is not supported: write sslmode=require, or better sslmode=verify-full
        target_session_attrs=read-write: target_session_attrs can only be any: one host is connected to, whatever its role; leave it out
        supa=base-pooler.x: unknown parameter supa; leave it out
        sslmode=requre: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full; did you mean require?
        sslmode=on: sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full
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
}

#[test]
fn one_host_is_named_in_the_form_of_a_url() {
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

/// As hosted providers hand them out.
#[test]
fn urls_of_providers() {
    let options = |url: &str| {
        let place = Place::parse(url).expect(url);
        let options = place.options.get_options().unwrap_or_default().to_owned();
        format!("{} {options}", said(url)).trim_end().to_owned()
    };
    insta::assert_snapshot!(
        [
            "postgresql://me:p@ep-x-pooler.aws.neon.tech/app?sslmode=verify-full&channel_binding=prefer",
            "postgresql://me:p@ep-x.aws.neon.tech/app?sslmode=require&options=endpoint%3Dep-x",
            "postgres://postgres.ref:p@aws-0.pooler.supabase.com:6543/postgres?pgbouncer=true",
            "postgres://me:p@x.postgres.vercel-storage.com:5432/app?sslmode=require&pgbouncer=true&connect_timeout=15",
            "postgres://me@server:p@server.postgres.database.azure.com:5432/app?sslmode=require",
            "postgres://u:p@ec2-1.compute.amazonaws.com:5432/d",
            "postgres://application:p@p.x.db.postgresbridge.com:5432/postgres?sslmode=require&target_session_attrs=any",
        ]
        .map(options)
        .join("\n"),
        @r#"
    "ep-x-pooler.aws.neon.tech" 5432 VerifyFull within 10s as notify-fan-out
    "ep-x.aws.neon.tech" 5432 Require within 10s as notify-fan-out endpoint=ep-x
    "aws-0.pooler.supabase.com" 6543 Prefer within 10s as notify-fan-out
    "x.postgres.vercel-storage.com" 5432 Require within 15s as notify-fan-out
    "server.postgres.database.azure.com" 5432 Require within 10s as notify-fan-out
    "ec2-1.compute.amazonaws.com" 5432 Prefer within 10s as notify-fan-out
    "p.x.db.postgresbridge.com" 5432 Require within 10s as notify-fan-out
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
