-- Due deliveries of e-mails, counted up to $1.
SELECT count(*) AS "deliveries!"
  FROM (SELECT FROM notification_deliveries
         WHERE status = 'pending' AND target = 'email' AND next_attempt_at <= now()
         LIMIT $1) AS due
