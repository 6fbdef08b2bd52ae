-- What may wait for a way to be sent: mails that none carries yet, and deliveries.
SELECT (SELECT count(*) FROM pending_emails WHERE status = 'pending') AS "mails!",
       (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'email') AS "deliveries!",
       (SELECT count(*) FROM notification_deliveries WHERE status = 'pending' AND target = 'sms') AS "texts!"
