-- What waits where no transport is configured: e-mails without a delivery and with one, and text messages.
SELECT (SELECT count(*) FROM pending_emails WHERE status = 'pending')
     + (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'email') AS "mails!",
       (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'sms') AS "texts!"
