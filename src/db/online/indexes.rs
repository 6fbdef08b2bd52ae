//! The indexes that migrate builds, on tables of any size.

/// The indexes that the job's statements stand on.
pub(super) const INDEXES: &[&str] = &[
    // The order of claims; it holds what is pending and nothing of the history.
    "INDEX CONCURRENTLY notification_processing_due_idx ON notification_processing (next_attempt_at, event_id) WHERE processing_status = 'pending'",
    // What waits in a thread, for claiming it together. Its condition is worded as no other's: the
    // planner, to whom a queue looks empty, would take the order of claims for it, and go through all
    // that is due for each thread.
    "INDEX CONCURRENTLY notification_processing_thread_idx ON notification_processing (thread_id, next_attempt_at, event_id) WHERE processing_status BETWEEN 'pending' AND 'pending' AND thread_id IS NOT NULL",
    // Claims under way, for rescue and status.
    "INDEX CONCURRENTLY notification_processing_claimed_idx ON notification_processing (claimed_at) WHERE processing_status = 'processing'",
    // Failures, for retry and status.
    "INDEX CONCURRENTLY notification_processing_failed_idx ON notification_processing (event_id) WHERE processing_status = 'failed'",
    // Throughput and latency of the last day; prune.
    "INDEX CONCURRENTLY notification_processing_completed_idx ON notification_processing (completed_at) WHERE processing_status = 'completed'",
    // What waits for a newer binary.
    "INDEX CONCURRENTLY notification_processing_unhandled_idx ON notification_processing (unhandled_type) WHERE unhandled_type IS NOT NULL",
    // The same in an order without meaning, to look at a part of it. Its condition is worded as no
    // other's: a look-up by type would take it for an index of types.
    "INDEX CONCURRENTLY notification_processing_unhandled_any_idx ON notification_processing (md5(event_id::text)) WHERE coalesce(unhandled_type, '') <> ''",
    // Mails that wait to be sent, for status.
    "INDEX CONCURRENTLY pending_emails_waiting_idx ON pending_emails (delivery_type, created_at) WHERE status = 'pending'",
    // What waits for a person's next digest. No other index has this condition.
    "INDEX CONCURRENTLY pending_emails_digest_idx ON pending_emails (user_id, created_at, id) WHERE status = 'pending' AND delivery_type <> 'immediate'",
    // The mails that a delivery carries.
    "INDEX CONCURRENTLY pending_emails_delivery_idx ON pending_emails (delivery_id) WHERE delivery_id IS NOT NULL",
    // One unread notification per reader and key: what later events are merged into.
    "UNIQUE INDEX CONCURRENTLY notifications_coalesce_key ON notifications (user_id, coalesce_key) WHERE read_at IS NULL AND coalesce_key IS NOT NULL",
];
