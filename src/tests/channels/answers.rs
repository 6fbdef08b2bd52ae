//! What each answer, and each lack of one, comes to.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use notify_fan_out::channels::{AttemptOutcome, Cause, Receipt, SendError};

use super::receiver::{Receiver, Reply, answer, status};
use super::{OVER_HTTP, SECRETS, attempt, local, now, outgoing};

/// An outcome in one line.
fn shown(result: &Result<Receipt, SendError>) -> String {
    match result {
        Ok(receipt) => match &receipt.provider_id {
            Some(id) => format!("delivered as {id}"),
            None => "delivered".to_owned(),
        },
        Err(error) => {
            let code = error
                .code
                .as_deref()
                .map(|code| format!(" [{code}]"))
                .unwrap_or_default();
            format!("{:?}{code}: {error}", error.outcome)
        }
    }
}

/// What a webhook may answer, without more.
const STATUSES: &str = "200 204 301 304 400 401 403 404 408 410 413 425 429 500 503";

/// Transport, status, header and body, as the providers' documentation has them.
const DOCUMENTED: &str = r#"
slack 200 ok
slack 400 invalid_payload
slack 403 action_prohibited
slack 404 channel_not_found
slack 410 channel_is_archived
slack 500 rollup_error
slack 429 retry-after=30
discord 200 {"id":"1234567890","type":0}
discord 400 {"code":50006,"message":"Cannot send an empty message"}
discord 404 {"code":10015,"message":"Unknown Webhook"}
discord 410
discord 429 retry-after=1 {"global":false,"message":"You are being rate limited.","retry_after":0.65}
resend 200 {"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}
resend 400 {"statusCode":400,"name":"invalid_idempotency_key","message":"The key must be between 1-256 chars."}
resend 403 {"statusCode":403,"name":"invalid_api_key","message":"API key is invalid"}
resend 404
resend 409 {"statusCode":409,"name":"invalid_idempotent_request","message":"Same key, other payload"}
resend 409 {"statusCode":409,"name":"concurrent_idempotent_requests","message":"Under way"}
resend 422 {"statusCode":422,"name":"validation_error","message":"Invalid `to` field: grace@example.org"}
resend 429 retry-after=2 {"statusCode":429,"name":"rate_limit_exceeded","message":"Too many requests"}
resend 500 {"statusCode":500,"name":"internal_server_error","message":"Unexpected"}
sendgrid 202 x-message-id=14c5d75ce93
sendgrid 400 {"errors":[{"message":"Does not contain a valid address.","field":"personalizations.0.to","help":null}]}
sendgrid 401 {"errors":[{"message":"The provided authorization grant is invalid","field":null}]}
sendgrid 404
sendgrid 413 {}
sendgrid 503
twilio 201 {"sid":"SM0123456789","status":"queued"}
twilio 400 {"code":21211,"message":"The 'To' number +4915112345678 is not a valid phone number.","status":400}
twilio 400 {"code":21610,"message":"Attempt to send to unsubscribed recipient","status":400}
twilio 400 {"code":21614,"message":"'To' number is not a valid mobile number","status":400}
twilio 400 {"code":21606,"message":"The 'From' phone number is not valid","status":400}
twilio 401 {"code":20003,"message":"Authenticate","status":401}
twilio 410
twilio 429 retry-after=5 {"code":20429,"message":"Too Many Requests","status":429}
twilio 400 {"code":20429,"message":"Too Many Requests","status":400}
twilio 503 {"code":20503,"message":"Service unavailable","status":503}
"#;

#[tokio::test]
async fn documented_answers_are_classified() {
    let client = outgoing(local());
    let mut table = String::new();
    let statuses = STATUSES.split(' ');
    let statuses = statuses.map(|status| &*format!("webhook {status}").leak());
    for line in statuses.chain(DOCUMENTED.trim().lines()) {
        let mut parts = line.splitn(3, ' ');
        let (transport, code) = (parts.next().expect("a transport"), parts.next());
        let rest = parts.next().unwrap_or_default();
        let (header, body) = match rest.split_once(' ').unwrap_or((rest, "")) {
            (header, body) if header.contains('=') && !header.contains('"') => (header, body),
            _ => ("", rest),
        };
        let headers: Vec<_> = header.split_once('=').into_iter().collect();
        let code = code.expect("a status").parse().expect("a status");
        let reply = answer(code, &headers, body);
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let result = attempt(transport, &client, &receiver.base()).await;
        assert_eq!(receiver.requests().len(), 1, "{transport}");
        let _ = writeln!(table, "{transport} {}", shown(&result));
    }
    insta::assert_snapshot!(table, @"
        webhook delivered
        webhook delivered
        webhook Permanent { cause: Settings }: webhook answered 301 Moved Permanently; redirects are not followed
        webhook Permanent { cause: Settings }: webhook answered 304 Not Modified; redirects are not followed
        webhook Permanent { cause: Message }: webhook answered 400 Bad Request
        webhook Permanent { cause: Settings }: webhook answered 401 Unauthorized
        webhook Permanent { cause: Settings }: webhook answered 403 Forbidden
        webhook Permanent { cause: Message }: webhook answered 404 Not Found
        webhook Retry { after: None }: webhook answered 408 Request Timeout
        webhook Permanent { cause: Gone }: webhook answered 410 Gone
        webhook Permanent { cause: Message }: webhook answered 413 Payload Too Large
        webhook Retry { after: None }: webhook answered 425 Too Early
        webhook Throttled { after: None }: webhook answered 429 Too Many Requests
        webhook Retry { after: None }: webhook answered 500 Internal Server Error
        webhook Retry { after: None }: webhook answered 503 Service Unavailable
        slack delivered
        slack Permanent { cause: Message } [invalid_payload]: slack answered 400 Bad Request: invalid_payload
        slack Permanent { cause: Settings } [action_prohibited]: slack answered 403 Forbidden: action_prohibited
        slack Permanent { cause: Gone } [channel_not_found]: slack answered 404 Not Found: channel_not_found
        slack Permanent { cause: Gone } [channel_is_archived]: slack answered 410 Gone: channel_is_archived
        slack Retry { after: None } [rollup_error]: slack answered 500 Internal Server Error: rollup_error
        slack Throttled { after: Some(30s) }: slack answered 429 Too Many Requests
        discord delivered as 1234567890
        discord Permanent { cause: Message } [50006]: discord answered 400 Bad Request: 50006: Cannot send an empty message
        discord Permanent { cause: Gone } [10015]: discord answered 404 Not Found: 10015: Unknown Webhook
        discord Permanent { cause: Gone }: discord answered 410 Gone
        discord Throttled { after: Some(650ms) }: discord answered 429 Too Many Requests: You are being rate limited.
        resend delivered as 49a3999c-0ce1-4ea6-ab68-afcd6dc2e794
        resend Permanent { cause: Message } [invalid_idempotency_key]: resend answered 400 Bad Request: invalid_idempotency_key: The key must be between 1-256 chars.
        resend Permanent { cause: Settings } [invalid_api_key]: resend answered 403 Forbidden: invalid_api_key: API key is invalid
        resend Permanent { cause: Message }: resend answered 404 Not Found
        resend Permanent { cause: Message } [invalid_idempotent_request]: resend answered 409 Conflict: invalid_idempotent_request: Same key, other payload
        resend Retry { after: None } [concurrent_idempotent_requests]: resend answered 409 Conflict: concurrent_idempotent_requests: Under way
        resend Permanent { cause: Message } [validation_error]: resend answered 422 Unprocessable Entity: validation_error: Invalid `to` field: g…@example.org
        resend Throttled { after: Some(2s) } [rate_limit_exceeded]: resend answered 429 Too Many Requests: rate_limit_exceeded: Too many requests
        resend Retry { after: None } [internal_server_error]: resend answered 500 Internal Server Error: internal_server_error: Unexpected
        sendgrid delivered as 14c5d75ce93
        sendgrid Permanent { cause: Recipient } [personalizations.0.to]: sendgrid answered 400 Bad Request: personalizations.0.to: Does not contain a valid address.
        sendgrid Permanent { cause: Settings }: sendgrid answered 401 Unauthorized: The provided authorization grant is invalid
        sendgrid Permanent { cause: Message }: sendgrid answered 404 Not Found
        sendgrid Permanent { cause: Message }: sendgrid answered 413 Payload Too Large
        sendgrid Retry { after: None }: sendgrid answered 503 Service Unavailable
        twilio delivered as SM0123456789
        twilio Permanent { cause: Recipient } [21211]: twilio answered 400 Bad Request: 21211: The 'To' number +••• is not a valid phone number.
        twilio Permanent { cause: Recipient } [21610]: twilio answered 400 Bad Request: 21610: Attempt to send to unsubscribed recipient
        twilio Permanent { cause: Recipient } [21614]: twilio answered 400 Bad Request: 21614: 'To' number is not a valid mobile number
        twilio Permanent { cause: Settings } [21606]: twilio answered 400 Bad Request: 21606: The 'From' phone number is not valid
        twilio Permanent { cause: Settings } [20003]: twilio answered 401 Unauthorized: 20003: Authenticate
        twilio Permanent { cause: Message }: twilio answered 410 Gone
        twilio Throttled { after: Some(5s) } [20429]: twilio answered 429 Too Many Requests: 20429: Too Many Requests
        twilio Throttled { after: None } [20429]: twilio answered 400 Bad Request: 20429: Too Many Requests
        twilio Retry { after: None } [20503]: twilio answered 503 Service Unavailable: 20503: Service unavailable
        ");
}

/// A date is one of the other side's clock. One provider has a header of its own.
#[tokio::test]
async fn a_date_to_wait_for_is_read_by_the_clock_that_it_was_written_by() {
    let reset = (now().timestamp() + 3_600).to_string();
    let ahead = [
        ("date", "Wed, 21 Oct 2065 07:28:00 GMT"),
        ("retry-after", "Wed, 21 Oct 2065 07:28:07 GMT"),
    ];
    let by_sendgrid = [("x-ratelimit-reset", reset.as_str())];
    for (transport, headers, seconds) in [
        ("slack", &ahead[..], 7..=7),
        ("sendgrid", &by_sendgrid, 3_590..=3_600),
    ] {
        let reply = answer(429, headers, "");
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let result = attempt(transport, &outgoing(local()), &receiver.base()).await;
        let error = result.expect_err("an error");
        let AttemptOutcome::Throttled { after: Some(after) } = error.outcome else {
            panic!("{error:?}");
        };
        assert!(seconds.contains(&after.as_secs()), "{after:?}");
    }
}

/// Where no answer comes, the outcome is unknown, unless nothing was sent.
#[tokio::test]
async fn a_connection_that_breaks_leaves_it_unknown_whether_the_message_arrived() {
    let broken = async |reply: Reply, transport| {
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let began = Instant::now();
        let client = outgoing(local());
        let result = attempt(transport, &client, &receiver.base()).await;
        let error = result.expect_err("an error");
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(receiver.requests().len(), 1, "tried again by itself");
        assert_eq!(
            error.outcome,
            AttemptOutcome::Uncertain,
            "{transport} {error}"
        );
    };
    for reply in [Reply::Cut, Reply::Silence, Reply::DripBefore] {
        let each = OVER_HTTP
            .into_iter()
            .map(|transport| broken(reply.clone(), transport));
        futures_util::future::join_all(each).await;
    }
    // Nobody listens: nothing was sent, whoever it is.
    let gone = Receiver::start(|_| status(200)).await.base();
    tokio::time::sleep(Duration::from_millis(20)).await;
    for transport in OVER_HTTP {
        let error = attempt(transport, &outgoing(local()), &gone)
            .await
            .expect_err("an error");
        assert_eq!(
            error.outcome,
            AttemptOutcome::Retry { after: None },
            "{transport} {error}"
        );
        assert!(error.reason.starts_with("no connection: "), "{error}");
    }
}

/// Once the status is there the message is, whatever becomes of the rest.
#[tokio::test]
async fn a_body_that_never_ends_is_a_receipt() {
    for reply in [Reply::Drip(200), Reply::Endless(200), Reply::CutWithin] {
        let endless = matches!(reply, Reply::Endless(_));
        let receiver = Receiver::start(move |_| reply.clone()).await;
        let began = Instant::now();
        let client = outgoing(local());
        let receipt = attempt("webhook", &client, &receiver.base())
            .await
            .expect("a receipt");
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_eq!(receipt.status, 200);
        if endless {
            assert_eq!(receipt.answer, "x".repeat(2_048));
            // Beyond what was read, only buffers of the sockets were filled.
            assert!(
                receiver.written() < 16 * 1_024 * 1_024,
                "{}",
                receiver.written()
            );
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Receiver::start(|_| status(200)).await;
    for code in [301, 302, 303, 307, 308] {
        let location = elsewhere.base();
        let receiver = Receiver::start(move |_| answer(code, &[("location", &location)], "")).await;
        let result = attempt("webhook", &outgoing(local()), &receiver.base()).await;
        let cause = Cause::Settings;
        let outcome = AttemptOutcome::Permanent { cause };
        assert_eq!(result.expect_err("an error").outcome, outcome);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// Nothing is unpacked, so nothing small can become large.
#[tokio::test]
async fn packed_answers_stay_packed() {
    let receiver =
        Receiver::start(|_| answer(200, &[("content-encoding", "gzip")], "\u{1f}not unpacked"))
            .await;
    let receipt = attempt("webhook", &outgoing(local()), &receiver.base())
        .await
        .expect("a receipt");
    assert_eq!(receipt.answer, "not unpacked");
    assert!(
        !receiver.requests()[0]
            .headers
            .contains_key("accept-encoding")
    );
}

/// A receiver that repeats the whole request puts no secret into receipt or error.
#[tokio::test]
async fn no_secret_is_in_a_receipt_or_an_error() {
    for code in [200, 400, 500] {
        let receiver = Receiver::start(move |request| {
            let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
            let received: String = headers.collect();
            let body = String::from_utf8_lossy(&request.body);
            let message = format!("{} {received} grace@example.org +4915112345678 {body}", request.path);
            let shown = serde_json::json!({ "message": message, "code": 1, "name": message, "id": message, "sid": message, "errors": [{ "message": message, "field": message }] });
            answer(code, &[], &shown.to_string())
        })
        .await;
        for transport in OVER_HTTP {
            let result = attempt(transport, &outgoing(local()), &receiver.base()).await;
            let all = format!("{result:?}");
            let personal = ["grace@", "4915112345678", "QUMwMDAw"];
            for secret in SECRETS.into_iter().chain(personal) {
                assert!(!all.contains(secret), "{transport} {secret}: {all}");
            }
        }
    }
    // Nor from the client itself, when it has only an address to complain about.
    for transport in OVER_HTTP {
        let error = attempt(transport, &outgoing(local()), "http://127.0.0.1:1/").await;
        let all = format!("{error:?}");
        assert!(!SECRETS.iter().any(|secret| all.contains(secret)), "{all}");
    }
}

/// The same test again, in an environment that names proxies.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxies = ["http_proxy", "https_proxy", "all_proxy"].into_iter();
    let in_both_cases = proxies.flat_map(|name| [name.to_owned(), name.to_uppercase()]);
    let again = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "channels::answers::packed_answers_stay_packed"])
        .envs(in_both_cases.map(|name| (name, "http://127.0.0.1:1")))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .expect("output");
    let shown = String::from_utf8_lossy(&again.stdout);
    assert!(
        again.status.success() && shown.contains("1 passed"),
        "{shown}"
    );
}
