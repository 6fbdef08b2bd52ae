-- Claims due events, oldest first, in one statement that commits before any work is done; and with
-- them what else is due in their threads, because it merges into the same notifications: written
-- together, each recipient's is written once, and two workers do not block each other.
-- $1 at most this many of the oldest, $2 who claims, $3 age limit in seconds, $4 the types with a
-- handler, $5 at most this many of the same threads, $6 the types that are ignored, $7 the largest
-- payload in bytes.
WITH head AS MATERIALIZED (
    SELECT event_id, thread_id, coalesce(retried_at, occurred_at, created_at, now()) AS since,
           coalesce(occurred_at, created_at) AS occurred_at, next_attempt_at,
           -- Claims that ended with their worker.
           CASE WHEN error_message LIKE 'stuck: %' THEN least(coalesce(retry_count, 0), 15) + 1 ELSE 0 END AS deaths,
           (error_message LIKE '%database refused: %') IS TRUE AS is_refused
      FROM notification_processing
     WHERE processing_status = 'pending' AND next_attempt_at <= now()
     ORDER BY next_attempt_at, event_id
     LIMIT $1
       FOR UPDATE SKIP LOCKED
),
oldest AS MATERIALIZED (
    -- An event whose worker died is claimed with an eighth of as many each time, and alone soon: one
    -- of them is what kills, and the others are not to die of it. Those that the database refused
    -- are claimed apart: no other is written again because of them.
    SELECT *
      FROM (SELECT *, row_number() OVER claim_order AS place,
                   min(greatest($1::bigint >> (3 * deaths), 1)) OVER claim_order AS most,
                   first_value(is_refused) OVER claim_order AS is_first_refused
              FROM head
            WINDOW claim_order AS (ORDER BY next_attempt_at, event_id ROWS UNBOUNDED PRECEDING)) AS placed
     WHERE place <= most AND is_refused = is_first_refused
),
companion AS MATERIALIZED (
    SELECT waiting.event_id, waiting.since, waiting.occurred_at
      FROM (SELECT DISTINCT thread_id FROM oldest WHERE thread_id IS NOT NULL) AS thread
     CROSS JOIN LATERAL (
           SELECT event_id, coalesce(retried_at, occurred_at, created_at, now()) AS since,
                  coalesce(occurred_at, created_at) AS occurred_at
             FROM notification_processing np
            WHERE np.thread_id = thread.thread_id
              -- Phrased to match the index over threads, and no other.
              AND processing_status BETWEEN 'pending' AND 'pending' AND next_attempt_at <= now()
              AND event_id NOT IN (SELECT event_id FROM oldest)
              AND (error_message LIKE ANY ('{stuck: %,"%database refused: %"}')) IS NOT TRUE
            ORDER BY next_attempt_at, event_id
            LIMIT $5
              FOR UPDATE SKIP LOCKED) AS waiting
     WHERE NOT EXISTS (SELECT FROM oldest WHERE deaths > 0 OR is_refused)
     LIMIT $5
),
due AS MATERIALIZED (
    -- What is said to occur in the future is as young as can be.
    SELECT event_id, least(since, now()) + make_interval(secs => $3) AS expires_at, occurred_at
      FROM (SELECT event_id, since, occurred_at FROM oldest UNION ALL SELECT * FROM companion) AS both_kinds
),
token AS MATERIALIZED (SELECT nextval('notification_claim_token_seq') AS value),
judged AS MATERIALIZED (
    SELECT due.event_id, due.expires_at, e.event_type::text AS event_type, e.actor_id,
           e.project_id, e.org_id, e.resource_id, e.thread_id, e.meeting_id,
           -- What is larger is not even sent: its size is.
           CASE WHEN octet_length(e.payload_text) <= $7 THEN e.payload_text END AS payload,
           CASE WHEN (octet_length(e.payload_text) <= $7) IS NOT TRUE
                THEN coalesce(octet_length(e.payload_text), pg_column_size(e.payload)) END AS oversize,
           -- What no calendar of the client holds is taken for now.
           CASE WHEN due.occurred_at BETWEEN '0001-01-01' AND '9999-12-31' THEN due.occurred_at
                ELSE now() END AS occurred_at,
           CASE WHEN e.id IS NULL THEN 'gone'
                WHEN e.event_type::text = ANY ($6) THEN 'ignored'
                WHEN due.expires_at <= now() THEN 'expired'
                WHEN e.event_type::text = ANY ($4) THEN 'claimed'
                ELSE 'unhandled' END AS disposition
      FROM due
      -- OFFSET 0 keeps this a look-up by key: the planner would rather read all events.
      LEFT JOIN LATERAL (
           SELECT *, CASE WHEN pg_column_size(payload) <= $7 THEN payload::text END AS payload_text
             FROM domain_events WHERE domain_events.id = due.event_id OFFSET 0) AS e ON true
),
marked AS (
    UPDATE notification_processing np
       SET processing_status = CASE j.disposition
               WHEN 'claimed' THEN 'processing' WHEN 'unhandled' THEN 'pending'
               WHEN 'ignored' THEN 'completed' ELSE 'failed' END,
           -- The attempt is spent here, durably, whatever becomes of this process.
           -- What another program has left there may be as large as can be.
           retry_count = least(coalesce(np.retry_count, 0), 2147483645)
               + CASE WHEN j.disposition = 'claimed' AND np.claimed_at IS NOT NULL THEN 1 ELSE 0 END,
           claimed_at = CASE WHEN j.disposition = 'claimed' THEN now() ELSE np.claimed_at END,
           processor_id = CASE WHEN j.disposition = 'claimed' THEN $2 ELSE np.processor_id END,
           claim_token = (SELECT value FROM token),
           completed_at = CASE WHEN j.disposition IN ('ignored', 'expired', 'gone') THEN now() END,
           error_message = CASE
               WHEN j.disposition = 'gone' THEN 'the event is gone, or hidden from the job''s role'
               WHEN j.disposition = 'ignored' THEN 'ignored: its type is in NOTIFY_FANOUT_IGNORE_TYPES'
               WHEN j.disposition <> 'expired' OR np.error_message LIKE 'expired: %' THEN np.error_message
               WHEN j.event_type <> ALL ($4) THEN 'expired: no handler for its type within the age limit'
               ELSE 'expired: pending for longer than the age limit'
                    || coalesce('; last error: ' || np.error_message, '') END,
           -- An unhandled one is due again when it expires; until then it costs no claim.
           next_attempt_at = CASE WHEN j.disposition = 'unhandled' THEN j.expires_at
               ELSE np.next_attempt_at END,
           unhandled_type = CASE WHEN j.disposition = 'unhandled' THEN j.event_type END
      FROM judged j
     WHERE np.event_id = j.event_id
    -- All of it comes from here: the planner, which can't know how many rows are due, would
    -- join the two again row by row.
    RETURNING j.*, np.retry_count + 1 AS attempt
)
SELECT event_id AS "event_id!", coalesce(event_type, '') AS "event_type!", actor_id, project_id, org_id,
       resource_id, thread_id, meeting_id, payload, oversize, occurred_at AS "occurred_at!", disposition AS "disposition!: Disposition", attempt AS "attempt!",
       (SELECT value FROM token) AS "token!", pg_current_xact_id()::text::bigint AS "xid!"
  FROM marked
 ORDER BY event_id
