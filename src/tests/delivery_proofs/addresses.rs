//! Addresses that requests must not go to.

use super::{deliver_to_the_world, endpoint, queue};
use crate::channels::receiver::{Receiver, status};
use crate::harness::{TestDatabase, Worker};

/// Whatever an endpoint is called, and whatever its name stands for: without a setting of the operator
/// nothing on this machine or its network is connected to, and the row says why.
#[tokio::test]
async fn nothing_private_is_connected_to() {
    let db = TestDatabase::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    let port = receiver.address.port();
    for (name, channel, url) in [
        (
            "a name of this machine",
            "webhook",
            format!("https://localhost:{port}/"),
        ),
        (
            "this machine",
            "webhook",
            format!("https://127.0.0.1:{port}/"),
        ),
        (
            "this machine, mapped",
            "webhook",
            format!("https://[::ffff:127.0.0.1]:{port}/"),
        ),
        (
            "this machine, as a number",
            "slack",
            format!("https://2130706433:{port}/"),
        ),
        ("unspecified", "discord", format!("https://0.0.0.0:{port}/")),
        ("the network", "webhook", "https://10.0.0.1/".to_owned()),
        (
            "metadata",
            "slack",
            "https://169.254.169.254/latest/meta-data/".to_owned(),
        ),
        (
            "not encrypted",
            "webhook",
            format!("http://127.0.0.1:{port}/"),
        ),
    ] {
        let id = endpoint(&db, name, channel, &url).await;
        queue(&db, id, 1).await;
    }
    let ended = Worker::start(&mut deliver_to_the_world(&db)).end().await;
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(ended.report()["dead"], 8);
    assert_eq!(receiver.connections(), 0);
    let rows = db
        .texts(
            "SELECT concat_ws(' ', e.name || ':', d.status, d.attempts, d.code, a.outcome, '–', d.reason)
               FROM notification_deliveries d
               JOIN notification_endpoints e ON e.id = d.endpoint_id
               LEFT JOIN notification_delivery_attempts a ON a.delivery_id = d.id
              ORDER BY e.name COLLATE \"C\"",
        )
        .await;
    insta::assert_snapshot!(rows.join("\n"), @"
    a name of this machine: dead 1 not_permitted permanent – 127.0.0.1 is a loopback address, and not on the list of allowed networks
    metadata: dead 1 not_permitted permanent – 169.254.169.254 is a link-local address, and not on the list of allowed networks
    not encrypted: dead 1 not_permitted permanent – the address is not encrypted (http://), which is not allowed here
    the network: dead 1 not_permitted permanent – 10.0.0.1 is a private address, and not on the list of allowed networks
    this machine: dead 1 not_permitted permanent – 127.0.0.1 is a loopback address, and not on the list of allowed networks
    this machine, as a number: dead 1 not_permitted permanent – 127.0.0.1 is a loopback address, and not on the list of allowed networks
    this machine, mapped: dead 1 not_permitted permanent – ::ffff:127.0.0.1 is a loopback address, and not on the list of allowed networks
    unspecified: dead 1 not_permitted permanent – 0.0.0.0 is the unspecified address, and not on the list of allowed networks
    ");
}
