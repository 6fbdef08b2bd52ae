-- One event and where it stands. $1: the event, $2 the largest payload in bytes.
SELECT e.event_type::text AS "event_type!", e.actor_id, e.project_id, e.org_id, e.resource_id,
       e.thread_id, e.meeting_id,
       CASE WHEN octet_length(e.payload_text) <= $2 THEN e.payload_text END AS payload,
       CASE WHEN (octet_length(e.payload_text) <= $2) IS NOT TRUE
            THEN coalesce(octet_length(e.payload_text), pg_column_size(e.payload)) END AS oversize,
       -- What no calendar of the client holds is left out.
       CASE WHEN coalesce(np.occurred_at, e.occurred_at) BETWEEN '0001-01-01' AND '9999-12-31'
            THEN coalesce(np.occurred_at, e.occurred_at) END AS occurred_at,
       now() AS "now!",
       coalesce(np.processing_status::text,
                -- Completed, and its processing row deleted.
                CASE WHEN EXISTS (SELECT FROM notification_pruned r
                                   WHERE r.event_ids @> $1::bigint
                                     AND (e.occurred_at <= r.pruned_at) IS NOT FALSE)
                     THEN 'pruned' END) AS status,
       coalesce(np.retry_count, 0) AS "retry_count!",
       np.next_attempt_at AS "next_attempt_at?", np.completed_at AS "completed_at?",
       -- A column of an older job may have a default.
       CASE WHEN np.claimed_at IS NOT NULL THEN np.processor_id END AS processor_id,
       np.error_message AS "error?"
  FROM (SELECT *, CASE WHEN pg_column_size(payload) <= $2 THEN payload::text END AS payload_text
          FROM domain_events WHERE id = $1 OFFSET 0) AS e
  LEFT JOIN notification_processing np ON np.event_id = e.id
