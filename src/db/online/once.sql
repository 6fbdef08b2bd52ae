INSERT INTO notification_once (user_id, once_key, event_id, ends_with_notification)
SELECT DISTINCT ON (sent.user_id, k.once_key) sent.user_id, k.once_key, k.event_id, sent.is_shown
  FROM ({keys}) AS k (event_id, once_key)
  JOIN (SELECT user_id, event_id, true AS is_shown FROM notifications
        UNION ALL SELECT user_id, event_id, false FROM pending_emails) AS sent ON sent.event_id = k.event_id
 WHERE sent.user_id IS NOT NULL
 ORDER BY sent.user_id, k.once_key, k.event_id, sent.is_shown DESC
ON CONFLICT DO NOTHING
