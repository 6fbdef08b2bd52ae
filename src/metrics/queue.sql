-- Deliveries that wait and dead letters, by channel; each count has a partial index of just those rows.
-- Immediate e-mails that are not promoted to deliveries yet wait too; those for a digest do not.
WITH waiting (channel, due_at) AS (
    SELECT channel, next_attempt_at FROM notification_deliveries WHERE status = 'pending'
    UNION ALL
    SELECT channel, NULL FROM notification_deliveries WHERE status = 'sending'
    UNION ALL
    SELECT 'email', created_at FROM pending_emails WHERE status = 'pending' AND delivery_type = 'immediate'
),
queued AS (
    SELECT channel, count(*) AS depth, extract(epoch FROM now() - min(due_at)) AS oldest_due_age
      FROM waiting
     GROUP BY channel
),
held AS (
    SELECT channel, count(*) FILTER (WHERE status = 'dead') AS dead,
           count(*) FILTER (WHERE status = 'uncertain') AS uncertain
      FROM notification_deliveries
     WHERE status IN ('dead', 'uncertain')
     GROUP BY channel
)
SELECT c.name AS "channel!", coalesce(q.depth, 0)::float8 AS "depth!",
       greatest(q.oldest_due_age, 0)::float8 AS "oldest_due_age!",
       coalesce(h.dead, 0)::float8 AS "dead!", coalesce(h.uncertain, 0)::float8 AS "uncertain!",
       extract(epoch FROM now())::float8 AS "now!"
  FROM unnest($1::text[]) AS c (name)
  LEFT JOIN queued q ON q.channel = c.name
  LEFT JOIN held h ON h.channel = c.name
