-- Counts what should have been sent long ago: e-mails without a delivery, and deliveries that are due
-- and whose target is not paused. $1: the limit in seconds; $2: the same for e-mails that wait for a
-- digest.
SELECT (SELECT count(*) FROM pending_emails
         WHERE status = 'pending' AND delivery_type = 'immediate'
           AND created_at < now() - make_interval(secs => $1)) AS "immediate!",
       (SELECT count(*) FROM pending_emails
         WHERE status = 'pending' AND delivery_type = 'aggregated'
           AND created_at < now() - make_interval(secs => $2)) AS "aggregated!",
       (SELECT count(*) FROM notification_deliveries d
         WHERE status = 'pending' AND next_attempt_at < now() - make_interval(secs => $1)
           AND NOT EXISTS (SELECT FROM notification_delivery_targets t
                            WHERE t.target = d.target AND t.paused_until > now())) AS "deliveries!"
