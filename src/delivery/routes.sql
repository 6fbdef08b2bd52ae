-- Routes of the environment ($1) that were disabled, and the reasons.
SELECT target, coalesce(disabled_reason, '') AS "reason!"
  FROM notification_delivery_targets
 WHERE target = ANY ($1) AND disabled_at IS NOT NULL
