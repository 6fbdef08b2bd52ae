//! Where a request may go, seen from those who must not get one.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use notify_fan_out::channels::http::Lookup;
use notify_fan_out::channels::{
    AttemptOutcome, Cause, OutgoingSettings, Policy, Receipt, SendError, TlsRoots,
};

use super::certificates::{Authority, acceptor};
use super::receiver::{Receiver, status};
use super::{attempt, local, outgoing};

/// Stands for a public address: the only one that is permitted.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// Stands for an address of the operator's own network.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Answers of a name server, one after the other, the last one for good; and how often it was asked.
fn answers(answers: Vec<Vec<IpAddr>>) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let left = Mutex::new(answers);
    let lookup: Lookup = Arc::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let mut left = left.lock().expect("answers");
        let answer = if left.len() > 1 {
            left.remove(0)
        } else {
            left[0].clone()
        };
        Box::pin(async move { Ok(answer) })
    });
    (lookup, asked)
}

fn only_public(lookup: Lookup) -> OutgoingSettings {
    OutgoingSettings {
        policy: Policy {
            allowed: vec![PUBLIC.into()],
            plain_http: true,
        },
        lookup,
        ..local()
    }
}

/// Two servers at the same port, one outside and one inside.
async fn servers() -> (Receiver, Receiver) {
    loop {
        let outside = Receiver::at(PUBLIC, 0, None, |_| status(200)).await;
        let port = outside.address.port();
        // Another test may have the port there.
        if std::net::TcpListener::bind((INSIDE, port)).is_ok() {
            return (
                outside,
                Receiver::at(INSIDE, port, None, |_| status(200)).await,
            );
        }
    }
}

fn refused(result: Result<Receipt, SendError>) -> String {
    let error = result.expect_err("a refusal");
    let cause = Cause::Settings;
    assert_eq!(
        error.outcome,
        AttemptOutcome::Permanent { cause },
        "{error}"
    );
    error.reason
}

#[tokio::test]
async fn a_name_that_changes_its_mind() {
    let (outside, inside) = servers().await;
    let (lookup, asked) = answers(vec![vec![PUBLIC], vec![INSIDE]]);
    let client = outgoing(only_public(lookup));
    let base = format!("http://rebinding.example:{}/", outside.address.port());

    attempt("webhook", &client, &base).await.expect("a receipt");
    assert_eq!(
        (asked.load(Ordering::SeqCst), outside.requests().len()),
        (1, 1)
    );

    let reason = refused(attempt("webhook", &client, &base).await);
    assert_eq!(
        reason,
        "127.0.0.1 is a loopback address, and not on the list of allowed networks"
    );
    assert_eq!((asked.load(Ordering::SeqCst), inside.connections()), (2, 0));
}

/// Each look-up leads to one decision: there is no second one that could come out otherwise.
#[tokio::test]
async fn a_name_that_alternates() {
    let (outside, inside) = servers().await;
    let turns = (0..40)
        .map(|turn| vec![if turn % 2 == 0 { INSIDE } else { PUBLIC }])
        .collect();
    let (lookup, asked) = answers(turns);
    let client = outgoing(only_public(lookup));
    let base = format!("http://rebinding.example:{}/", outside.address.port());
    for turn in 0..40 {
        let result = attempt("slack", &client, &base).await;
        assert_eq!(result.is_ok(), turn % 2 == 1, "{turn}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 40);
    assert_eq!((outside.requests().len(), inside.connections()), (20, 0));
}

#[tokio::test]
async fn a_name_with_addresses_of_both_kinds() {
    let (outside, inside) = servers().await;
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let (lookup, _) = answers(vec![vec![
        INSIDE,
        mapped,
        PUBLIC,
        "::1".parse().expect("an address"),
    ]]);
    let base = format!("http://both.example:{}/", outside.address.port());
    let client = outgoing(only_public(lookup));
    attempt("discord", &client, &base).await.expect("a receipt");
    assert_eq!((outside.requests().len(), inside.connections()), (1, 0));
}

/// Whatever stands for this machine, by name or number, in the forms that people have thought of.
#[tokio::test]
async fn this_machine_by_any_name() {
    let inside = Receiver::start(|_| status(200)).await;
    let port = inside.address.port();
    let public = OutgoingSettings {
        policy: Policy {
            plain_http: true,
            ..Policy::default()
        },
        ..local()
    };
    let client = outgoing(public);
    for host in [
        "localhost",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "0.0.0.0",
        "0",
        "[::]",
        "①②⑦.0.0.1",
    ] {
        let result = attempt("webhook", &client, &format!("http://{host}:{port}/")).await;
        assert!(
            refused(result).contains("not on the list of allowed networks"),
            "{host}"
        );
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn https_unless_allowed() {
    let (lookup, asked) = answers(vec![vec![INSIDE]]);
    let client = outgoing(OutgoingSettings {
        lookup,
        ..OutgoingSettings::new(TlsRoots::default())
    });
    let reason = refused(attempt("webhook", &client, "http://example.com/").await);
    assert_eq!(
        reason,
        "the address is not encrypted (http://), which is not allowed here"
    );
    let reason = refused(attempt("webhook", &client, "https://me:pass@example.com/").await);
    assert_eq!(
        reason,
        "the address has a user name or password in it; use a header instead"
    );
    // Neither was so much as looked up.
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_is_not_there() {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
    let error = attempt(
        "twilio",
        &outgoing(only_public(lookup)),
        "http://nowhere.example/",
    )
    .await
    .expect_err("an error");
    assert_eq!(error.outcome, AttemptOutcome::Retry { after: None });
    assert!(error.reason.contains("no such name"), "{error}");
    // One that answers too late fails with the connection.
    let lookup: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    let error = attempt(
        "twilio",
        &outgoing(only_public(lookup)),
        "http://slow.example/",
    )
    .await
    .expect_err("an error");
    assert_eq!(
        (error.outcome, error.reason.as_str()),
        (
            AttemptOutcome::Retry { after: None },
            "no connection in time"
        )
    );
}

#[tokio::test]
async fn certificates_are_checked() {
    let authority = Authority::new();
    let tls = acceptor(&authority.issue("hooks.example"));
    let receiver = Receiver::at(PUBLIC, 0, Some(tls), |_| status(200)).await;
    let (lookup, _) = answers(vec![vec![PUBLIC]]);
    let trusting = |tls_roots: TlsRoots| OutgoingSettings {
        tls_roots,
        ..only_public(Arc::clone(&lookup))
    };
    let port = receiver.address.port();
    let good = format!("https://hooks.example:{port}/");

    let known = outgoing(trusting(authority.tls_roots()));
    attempt("webhook", &known, &good).await.expect("a receipt");
    assert_eq!(receiver.requests().len(), 1);

    let stranger = outgoing(trusting(Authority::new().tls_roots()));
    let other_name = format!("https://other.example:{port}/");
    for (client, base) in [(&stranger, &good), (&known, &other_name)] {
        let error = attempt("webhook", client, base)
            .await
            .expect_err("an error");
        assert_eq!(error.outcome, AttemptOutcome::Retry { after: None });
        assert!(error.reason.contains("certificate"), "{error}");
    }
    assert_eq!(receiver.requests().len(), 1);
}
