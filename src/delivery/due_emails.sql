-- What a run would promote: immediate e-mails one by one, then those of each due digest together. $1 at
-- most this many e-mails of either; $2 length of a window and $3 age limit, in seconds.
WITH bounds AS MATERIALIZED (
    SELECT to_timestamp(floor(extract(epoch FROM now())::float8 / $2) * $2) AS window_start
),
single AS MATERIALIZED (
    SELECT m.id FROM pending_emails m
     WHERE m.status = 'pending' AND m.delivery_type = 'immediate'
     ORDER BY m.created_at
     LIMIT $1
),
together AS MATERIALIZED (
    SELECT m.id FROM pending_emails m
     WHERE m.status = 'pending' AND m.delivery_type = 'aggregated'
       AND m.created_at < (SELECT window_start FROM bounds)
       -- A look-up per e-mail, not a join.
       AND (SELECT d.id FROM notification_deliveries d
             WHERE d.user_id = m.user_id AND d.digest_window = (SELECT window_start FROM bounds)) IS NULL
     ORDER BY m.created_at
     LIMIT $1
),
email AS MATERIALIZED (
    SELECT m.id, m.user_id, m.event_type, m.body_data, m.delivery_type = 'aggregated' AS is_digest,
           coalesce(m.created_at < now() - make_interval(secs => $3), false) AS is_late
      FROM (SELECT id FROM single UNION ALL SELECT id FROM together) AS due
      JOIN pending_emails m ON m.user_id IS NOT NULL AND m.event_type IS NOT NULL AND m.id = due.id AND m.id = ANY (
           ARRAY(SELECT id FROM single UNION ALL SELECT id FROM together))
)
SELECT m.is_digest AS "is_digest!", ARRAY[m.id] AS "ids!", m.user_id AS "user_id!", m.event_type AS "event_type!",
       m.is_late AS "is_late!", dedup.keys AS "dedup_keys!",
       EXISTS (SELECT FROM unnest(dedup.keys) AS name
                WHERE (SELECT until FROM notification_delivery_guards WHERE guard = name) > now()) AS "is_repeated!",
       now() AS "now!"
  FROM email m
 CROSS JOIN LATERAL (SELECT ARRAY(
       SELECT 'email|user:' || m.user_id || '|' ||
              CASE WHEN octet_length(g.value) <= 500 THEN g.value
                   ELSE 'sha256:' || encode(sha256(convert_to(g.value, 'UTF8')), 'hex') END
         FROM jsonb_array_elements_text(
              CASE WHEN jsonb_typeof(m.body_data -> 'guards') = 'array'
                   THEN m.body_data -> 'guards' ELSE '[]' END) AS g (value))) AS dedup (keys)
 WHERE NOT m.is_digest
 UNION ALL
SELECT true, array_agg(id ORDER BY id), user_id, 'digest', is_late, '{}', false, now()
  FROM email
 WHERE is_digest
 GROUP BY user_id, is_late
 ORDER BY "is_digest!", "ids!"
