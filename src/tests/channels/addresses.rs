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
            let inside = Receiver::at(INSIDE, port, None, |_| status(200)).await;
            return (outside, inside);
        }
    }
}

fn refused(result: Result<Receipt, SendError>) -> String {
    let error = result.expect_err("a refusal");
    let cause = Cause::Settings;
    let permanent = AttemptOutcome::Permanent { cause };
    assert_eq!(error.outcome, permanent, "{error}");
    error.reason
}

/// Each look-up leads to one decision: there is no second one that could come out otherwise.
#[tokio::test]
async fn a_name_that_alternates_is_decided_on_at_each_attempt() {
    let (outside, inside) = servers().await;
    let both = [vec![PUBLIC], vec![INSIDE]];
    let (lookup, asked) = answers(vec![both; 20].concat());
    let client = outgoing(only_public(lookup));
    let base = format!("http://rebinding.example:{}/", outside.address.port());
    for _ in 0..20 {
        attempt("slack", &client, &base).await.expect("a receipt");
        let reason = refused(attempt("slack", &client, &base).await);
        assert_eq!(
            reason,
            "127.0.0.1 is a loopback address, and not on the list of allowed networks"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 40);
    assert_eq!((outside.requests().len(), inside.connections()), (20, 0));
}

#[tokio::test]
async fn of_a_name_with_addresses_of_both_kinds_the_permitted_one_is_taken() {
    let (outside, inside) = servers().await;
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let loopback = "::1".parse().expect("an address");
    let (lookup, _) = answers(vec![vec![INSIDE, mapped, PUBLIC, loopback]]);
    let base = format!("http://both.example:{}/", outside.address.port());
    let client = outgoing(only_public(lookup));
    attempt("discord", &client, &base).await.expect("a receipt");
    assert_eq!((outside.requests().len(), inside.connections()), (1, 0));
}

/// By name or number, in the forms that people have thought of; and no address that is refused as it is
/// written is so much as looked up.
#[tokio::test]
async fn this_machine_is_not_reached_by_any_name() {
    let inside = Receiver::start(|_| status(200)).await;
    let port = inside.address.port();
    let policy = Policy {
        plain_http: true,
        ..Policy::default()
    };
    let client = outgoing(OutgoingSettings { policy, ..local() });
    let hosts = "localhost 127.0.0.1 127.0.0.1. 127.1 2130706433 0x7f000001 0177.0.0.1 [::1] \
                 [::ffff:127.0.0.1] [::ffff:7f00:1] [64:ff9b::127.0.0.1] 0.0.0.0 0 [::] ①②⑦.0.0.1";
    for host in hosts.split_whitespace() {
        let url = format!("http://{host}:{port}/");
        let reason = refused(attempt("webhook", &client, &url).await);
        let why = "not on the list of allowed networks";
        assert!(reason.contains(why), "{host}: {reason}");
    }
    assert_eq!(inside.connections(), 0);

    let (lookup, asked) = answers(vec![vec![INSIDE]]);
    let client = outgoing(OutgoingSettings {
        lookup,
        ..OutgoingSettings::new(TlsRoots::default())
    });
    refused(attempt("webhook", &client, "http://example.com/").await);
    refused(attempt("webhook", &client, "https://me:pass@example.com/").await);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_name_that_is_not_found_in_time_is_tried_again_later() {
    let unknown: Lookup = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
    let slow: Lookup = Arc::new(|_| Box::pin(std::future::pending()));
    for (lookup, reason) in [(unknown, "no such name"), (slow, "no connection in time")] {
        let client = outgoing(only_public(lookup));
        let result = attempt("twilio", &client, "http://nowhere.example/").await;
        let error = result.expect_err("an error");
        assert_eq!(error.outcome, AttemptOutcome::Retry { after: None });
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn certificates_are_checked() {
    let authority = Authority::new();
    let tls = acceptor(&authority.issue("hooks.example"));
    let receiver = Receiver::at(PUBLIC, 0, Some(tls), |_| status(200)).await;
    let (lookup, _) = answers(vec![vec![PUBLIC]]);
    let trusting = |tls_roots: TlsRoots| {
        outgoing(OutgoingSettings {
            tls_roots,
            ..only_public(Arc::clone(&lookup))
        })
    };
    let port = receiver.address.port();
    let [good, other_name] =
        ["hooks", "other"].map(|name| format!("https://{name}.example:{port}/"));
    let known = trusting(authority.tls_roots());
    attempt("webhook", &known, &good).await.expect("a receipt");
    let stranger = trusting(Authority::new().tls_roots());
    for (client, base) in [(&stranger, &good), (&known, &other_name)] {
        let result = attempt("webhook", client, base).await;
        let error = result.expect_err("an error");
        assert_eq!(error.outcome, AttemptOutcome::Retry { after: None });
        assert!(error.reason.contains("certificate"), "{error}");
    }
    assert_eq!(receiver.requests().len(), 1);
}
