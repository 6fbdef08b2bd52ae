-- Of each channel named ($1) whose messages share an account: how many wait, and whether it fails or is
-- paused. Pauses of a few seconds only pace.
SELECT (SELECT count(*) FROM notification_deliveries d WHERE d.status = 'pending' AND d.target = c.name)
           + CASE WHEN c.name = 'email' THEN (SELECT count(*) FROM pending_emails WHERE status = 'pending') ELSE 0 END
           AS "waiting!",
       t.failing_since, coalesce(t.failures, 0) AS "failures!", t.last_error,
       CASE WHEN t.paused_until > now() + interval '5 seconds' THEN t.paused_until END AS paused_until
  FROM unnest($1::text[]) WITH ORDINALITY AS c (name, place)
  LEFT JOIN notification_delivery_targets t ON t.target = c.name
 ORDER BY c.place
