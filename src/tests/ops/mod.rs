//! What the operator's commands do: `status`, `retry`, `discard`, `prune`; and what they know of deliveries.

mod delivery;
mod prune;
mod prune_deliveries;
mod retry;
mod status;

use std::time::Duration;

use notify_fan_out::ops::prune::{Prune, PruneOptions, PruneReport};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{TestDatabase, World, database_at};

const MONTH: Duration = Duration::from_hours(30 * 24);

struct Stage {
    db: TestDatabase<'static>,
    world: World,
    bo: Uuid,
    atlas: Uuid,
}

impl Stage {
    /// Bo can be notified of access to Atlas: in-app and by e-mail.
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        let [ada, bo] = world.users(["Ada", "Bo"]).await;
        let org = world.org("Works", [ada]).await;
        let atlas = world.project("Atlas", org).await;
        Self {
            db,
            world,
            bo,
            atlas,
        }
    }

    async fn granted(&mut self) -> i64 {
        let event = self
            .world
            .event("project_access_granted")
            .project(self.atlas);
        event.payload(json!({"affected_user_id": self.bo})).await
    }

    /// An event that fails for good: it does not say whom it concerns.
    async fn invalid(&mut self) -> i64 {
        self.world
            .event("project_access_granted")
            .project(self.atlas)
            .await
    }

    /// Whatever happened, happened so many days ago.
    async fn days_pass(&self, days: u32) {
        self.db
            .execute(format!(
                "UPDATE notification_processing SET completed_at = completed_at - interval '{days} days';
                 UPDATE notifications SET read_at = read_at - interval '{days} days';
                 UPDATE pending_emails SET processed_at = processed_at - interval '{days} days'"
            ))
            .await;
    }

    async fn read_and_sent(&self, event: i64) {
        self.db
            .execute(format!(
                "UPDATE notifications SET read_at = now() WHERE event_id = {event};
                 UPDATE pending_emails SET status = 'sent', processed_at = now() WHERE event_id = {event}"
            ))
            .await;
    }

    /// What is there of each event: event, row, notification, mail.
    async fn left(&self) -> Vec<String> {
        self.db
            .texts(
                "SELECT concat_ws(' ', id, 'event',
                        (SELECT processing_status FROM notification_processing p WHERE p.event_id = e.id),
                        (SELECT 'notification' FROM notifications n WHERE n.event_id = e.id),
                        (SELECT 'mail' FROM pending_emails m WHERE m.event_id = e.id))
                   FROM domain_events e ORDER BY id",
            )
            .await
    }
}

/// Prunes as the superuser: deleting is not among the rights of the job's role.
async fn prune(db: &TestDatabase<'_>, events: bool) -> PruneReport {
    let database = database_at(&db.superuser_url());
    let mut session = database.connect().await.expect("a connection");
    let scope = PruneOptions {
        older_than: MONTH,
        events,
    };
    let dry_run = Prune::new(&mut session, scope).await.expect("a start");
    let would = dry_run.dry_run(&mut session).await.expect("a dry run");
    let mut prune = Prune::new(&mut session, scope).await.expect("a start");
    let stop = CancellationToken::new();
    let done = prune.execute(&mut session, &stop, &mut |_| {}).await;
    done.expect("pruned");
    let report = prune.report().clone();
    let would = PruneReport {
        older_than: report.older_than,
        ..would
    };
    assert_eq!(would, report, "the dry run is right");
    report
}

fn counts(report: &PruneReport) -> [i64; 4] {
    [
        report.notifications_count,
        report.emails_count,
        report.processing_rows_count,
        report.events_count,
    ]
}
