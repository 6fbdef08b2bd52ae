-- What is due when a run ends early: e-mails without a delivery, and deliveries. $1 length of a digest's
-- window in seconds; $2 targets that this process cannot send to.
SELECT (SELECT count(*) FROM pending_emails
         WHERE status = 'pending' AND 'email' <> ALL ($2)
           AND (delivery_type = 'immediate'
                OR delivery_type = 'aggregated'
                   AND created_at < to_timestamp(floor(extract(epoch FROM now())::float8 / $1) * $1))) AS "mails!",
       (SELECT count(*) FROM notification_deliveries
         WHERE status = 'pending' AND next_attempt_at <= now() AND target <> ALL ($2)) AS "deliveries!"
