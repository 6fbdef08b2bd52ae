-- The endpoints $1, enabled or not.
SELECT e.id, e.channel, e.settings, e.enabled, e.disabled_reason
  FROM notification_endpoints e
 WHERE e.id = ANY ($1)
