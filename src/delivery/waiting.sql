-- What waits where no transport is configured: e-mails without a delivery, and deliveries.
SELECT (SELECT count(*) FROM pending_emails WHERE status = 'pending') AS "mails!",
       (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'email') AS "deliveries!",
       (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'sms') AS "texts!"
