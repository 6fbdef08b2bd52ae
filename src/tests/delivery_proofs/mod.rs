//! `deliver` where it is disturbed: what is queued arrives, at least once, and more than once only
//! where a send was in flight.

mod cut;
mod in_flight;
mod killed;
mod lost_leases;
mod plans;
mod side_by_side;

use std::time::{Duration, Instant};

use crate::harness::TestDatabase;

/// Time passes: the leases of senders that are gone have ended.
async fn leases_end(db: &TestDatabase<'_>) {
    db.execute(
        "UPDATE notification_deliveries SET lease_until = now() - interval '1 second' WHERE status = 'sending'",
    )
    .await;
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(30), "never came: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
