//! What the statements of the job need: relations, their columns, and what they do to them.

use crate::db::contract::{COLUMNS, Column};

/// A relation and the columns of it.
#[derive(Debug)]
pub(super) struct Required {
    pub(super) relation: &'static str,
    pub(super) reads: &'static [&'static str],
    /// What only who sends has to read, as it holds secrets.
    pub(super) sends_by: &'static [&'static str],
    pub(super) inserts: &'static [&'static str],
    pub(super) updates: &'static [&'static str],
}

const fn read(relation: &'static str, reads: &'static [&'static str]) -> Required {
    Required {
        relation,
        reads,
        sends_by: &[],
        inserts: &[],
        updates: &[],
    }
}

/// All of it but what the contract says of the application's tables. `scripts/grants.sql` gives the rights to the same.
pub(super) const REQUIRED: &[Required] = &[
    read(
        "domain_events",
        &[
            "id",
            "event_type",
            "actor_id",
            "project_id",
            "org_id",
            "resource_id",
            "thread_id",
            "meeting_id",
            "payload",
            "occurred_at",
        ],
    ),
    Required {
        relation: "notification_processing",
        reads: &[
            "event_id",
            "processing_status",
            "processor_id",
            "claimed_at",
            "completed_at",
            "retry_count",
            "error_message",
            "created_at",
            "occurred_at",
            "next_attempt_at",
            "claim_token",
            "retried_at",
            "unhandled_type",
            "thread_id",
        ],
        sends_by: &[],
        inserts: &[
            "event_id",
            "occurred_at",
            "thread_id",
            "processing_status",
            "retry_count",
            "created_at",
            "next_attempt_at",
        ],
        updates: &[
            "processing_status",
            "processor_id",
            "claimed_at",
            "completed_at",
            "retry_count",
            "error_message",
            "next_attempt_at",
            "claim_token",
            "retried_at",
            "unhandled_type",
        ],
    },
    Required {
        relation: "notifications",
        reads: &[
            "id",
            "user_id",
            "event_id",
            "title",
            "body",
            "read_at",
            "coalesce_key",
            "coalesce_count",
            "created_at",
        ],
        sends_by: &[],
        inserts: &[
            "user_id",
            "event_id",
            "title",
            "body",
            "link_url",
            "payload",
            "coalesce_key",
            "coalesce_count",
            "created_at",
        ],
        updates: &[
            "event_id",
            "created_at",
            "title",
            "body",
            "link_url",
            "payload",
            "coalesce_count",
            "updated_at",
        ],
    },
    Required {
        relation: "pending_emails",
        reads: &[
            "id",
            "user_id",
            "event_id",
            "event_type",
            "delivery_type",
            "project_id",
            "project_name",
            "subject",
            "body_data",
            "status",
            "created_at",
            "processed_at",
            "delivery_id",
            "has_notification",
            "status_reason",
        ],
        sends_by: &[],
        inserts: &[
            "user_id",
            "event_id",
            "event_type",
            "delivery_type",
            "project_id",
            "project_name",
            "subject",
            "body_data",
            "has_notification",
        ],
        updates: &["status", "processed_at", "delivery_id", "status_reason"],
    },
    Required {
        relation: "notification_once",
        reads: &["user_id", "once_key", "event_id", "ends_with_notification"],
        sends_by: &[],
        inserts: &["user_id", "once_key", "event_id", "ends_with_notification"],
        updates: &["event_id", "ends_with_notification"],
    },
    read(
        "notification_pruned",
        &["event_ids", "completed_at", "pruned_at"],
    ),
    Required {
        relation: "notification_sweep",
        reads: &["is_only", "swept_to", "seen_to", "seen_at"],
        sends_by: &[],
        inserts: &[],
        updates: &["swept_to", "seen_to", "seen_at"],
    },
    Required {
        relation: "notification_endpoints",
        reads: &[
            "id",
            "name",
            "scope",
            "scope_id",
            "channel",
            "target",
            "event_types",
            "enabled",
            "disabled_reason",
            "disabled_at",
            "created_at",
            "updated_at",
        ],
        sends_by: &["settings"],
        inserts: &[],
        updates: &["enabled", "disabled_reason", "disabled_at", "updated_at"],
    },
    Required {
        relation: "notification_deliveries",
        reads: &[
            "id",
            "key",
            "channel",
            "target",
            "recipient",
            "user_id",
            "endpoint_id",
            "event_id",
            "event_type",
            "digest_window",
            "message",
            "occurred_at",
            "status",
            "attempts",
            "next_attempt_at",
            "lease_token",
            "leased_at",
            "lease_until",
            "leased_by",
            "transport",
            "provider_id",
            "reason",
            "code",
            "created_at",
            "requeued_at",
            "finished_at",
        ],
        sends_by: &[],
        inserts: &[
            "channel",
            "target",
            "recipient",
            "user_id",
            "endpoint_id",
            "event_id",
            "event_type",
            "digest_window",
            "message",
            "occurred_at",
            "status",
            "next_attempt_at",
            "reason",
            "code",
            "finished_at",
        ],
        updates: &[
            "status",
            "attempts",
            "next_attempt_at",
            "requeued_at",
            "lease_token",
            "leased_at",
            "lease_until",
            "leased_by",
            "transport",
            "provider_id",
            "reason",
            "code",
            "finished_at",
        ],
    },
    Required {
        relation: "notification_delivery_attempts",
        reads: &[
            "id",
            "delivery_id",
            "attempt",
            "transport",
            "started_at",
            "duration_ms",
            "outcome",
            "status",
            "code",
            "error",
            "answer",
        ],
        sends_by: &[],
        inserts: &[
            "delivery_id",
            "attempt",
            "transport",
            "started_at",
            "duration_ms",
            "outcome",
            "status",
            "code",
            "error",
            "answer",
        ],
        updates: &[],
    },
    Required {
        relation: "notification_delivery_targets",
        reads: &[
            "target",
            "paused_until",
            "failing_since",
            "failing_days",
            "failures",
            "throttled",
            "throttled_until",
            "last_error",
            "disabled_reason",
            "disabled_at",
        ],
        sends_by: &[],
        inserts: &[
            "target",
            "paused_until",
            "failing_since",
            "failing_days",
            "failures",
            "throttled",
            "throttled_until",
            "last_error",
            "disabled_reason",
            "disabled_at",
        ],
        updates: &[
            "target",
            "paused_until",
            "failing_since",
            "failing_days",
            "failures",
            "throttled",
            "throttled_until",
            "last_error",
            "disabled_reason",
            "disabled_at",
        ],
    },
    Required {
        relation: "notification_delivery_guards",
        reads: &["guard", "until"],
        sends_by: &[],
        inserts: &["guard", "delivery_key", "until"],
        updates: &["delivery_key", "until"],
    },
];

/// What is read of the application's tables; `permissions` is looked at apart, as only our own
/// `can_view` reads it.
fn of_the_application() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| {
        column.relation != "permissions"
            && REQUIRED.iter().all(|need| need.relation != column.relation)
    })
}

/// Their names.
pub(super) fn relations() -> Vec<String> {
    let mut relations: Vec<_> = of_the_application()
        .map(|column| column.relation)
        .chain(REQUIRED.iter().map(|need| need.relation))
        .map(str::to_owned)
        .collect();
    relations.dedup();
    relations
}

/// How many rights there are that who only reads has no use for, by relation and kind.
pub(super) fn writes() -> usize {
    let is_needed = |columns: &[&str]| usize::from(!columns.is_empty());
    REQUIRED
        .iter()
        .map(|need| is_needed(need.sends_by) + is_needed(need.inserts) + is_needed(need.updates))
        .sum()
}

/// Rights that are needed, an entry in each list for each of them.
#[derive(Debug, Default)]
pub(super) struct Rights {
    pub(super) relations: Vec<String>,
    pub(super) privileges: Vec<String>,
    pub(super) columns: Vec<String>,
    /// Whether who only reads has no use for it.
    pub(super) are_writes: Vec<bool>,
}

impl Rights {
    fn add(&mut self, relation: &str, privilege: &str, column: &str, is_write: bool) {
        self.relations.push(relation.to_owned());
        self.privileges.push(privilege.to_owned());
        self.columns.push(column.to_owned());
        self.are_writes.push(is_write);
    }
}

/// All of them.
pub(super) fn rights() -> Rights {
    let mut rights = Rights::default();
    for column in of_the_application() {
        rights.add(column.relation, "SELECT", column.name, false);
    }
    for need in REQUIRED {
        for (privilege, columns, is_write) in [
            ("SELECT", need.reads, false),
            ("SELECT", need.sends_by, true),
            ("INSERT", need.inserts, true),
            ("UPDATE", need.updates, true),
        ] {
            for column in columns {
                rights.add(need.relation, privilege, column, is_write);
            }
        }
    }
    rights
}
