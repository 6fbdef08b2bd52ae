-- The deliveries of an event, $1, and its mails that are in one or were left out, to the person $2 or
-- all; at most $3.
WITH mail AS MATERIALIZED (
    SELECT m.id::bigint AS id, m.user_id, m.delivery_id, m.status::text AS status, m.status_reason, m.processed_at
      FROM pending_emails m
     WHERE m.event_id = $1 AND ($2::uuid IS NULL OR m.user_id = $2)
       AND (m.delivery_id IS NOT NULL OR m.status_reason IS NOT NULL)
)
SELECT d.id AS "delivery_id?", m.id AS "email_id?", coalesce(d.channel, 'email') AS "channel!",
       coalesce(d.recipient, 'user:' || m.user_id) AS "recipient!", d.digest_window IS NOT NULL AS "is_digest!",
       outcome.status AS "status!", coalesce(d.attempts, 0) AS "attempts_count!",
       CASE WHEN d.status = 'pending' THEN d.next_attempt_at END AS next_attempt_at,
       coalesce(d.finished_at, m.processed_at) AS finished_at,
       -- The reason of an e-mail begins with its status.
       coalesce(CASE WHEN starts_with(m.status_reason, outcome.status || ': ')
                     THEN substr(m.status_reason, length(outcome.status) + 3) ELSE m.status_reason END,
                d.reason) AS reason,
       d.code AS "code?",
       coalesce(e.name || coalesce(' (' || e.target || ')', ''), d.recipient, 'user:' || m.user_id) AS "to!",
       CASE WHEN e.name IS NULL THEN p.email::text END AS address
  FROM (SELECT d.id AS delivery_id, m.id AS mail_id
          FROM notification_deliveries d
          LEFT JOIN mail m ON m.delivery_id = d.id
         WHERE d.event_id = $1 AND ($2 IS NULL OR d.user_id = $2)
        UNION
        SELECT delivery_id, id FROM mail) AS pair
  LEFT JOIN notification_deliveries d ON d.id = pair.delivery_id
  LEFT JOIN mail m ON m.id = pair.mail_id
  -- A digest is sent without e-mails that are no longer wanted.
 CROSS JOIN LATERAL (
       SELECT CASE WHEN m.status = 'failed' AND coalesce(d.status, m.status) NOT IN ('dead', 'uncertain')
                   THEN 'cancelled' ELSE coalesce(d.status, m.status) END) AS outcome (status)
  -- OFFSET 0 keeps a look-up one by key, whatever the planner thinks of the table.
  LEFT JOIN LATERAL (
       SELECT name, target FROM notification_endpoints x WHERE x.id = d.endpoint_id OFFSET 0) AS e ON true
  LEFT JOIN LATERAL (
       SELECT email FROM profiles x WHERE x.id = coalesce(d.user_id, m.user_id) OFFSET 0) AS p ON true
 ORDER BY "channel!", d.id, m.id
 LIMIT $3
