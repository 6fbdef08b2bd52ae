-- The endpoints of these targets ($1), as far as there are any, and whether they are in use.
SELECT e.id, e.channel, e.settings, e.enabled, e.disabled_reason
  FROM notification_endpoints e
 WHERE e.id = ANY ($1)
