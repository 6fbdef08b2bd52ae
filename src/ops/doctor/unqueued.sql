-- Events of the last day without a processing row, among the newest ten thousand: a glance, not a
-- search through history. Runs look at those above the mark.
SELECT count(*) AS "events!", min(newest.id) AS first,
       coalesce(min(newest.id) > (SELECT swept_to FROM notification_sweep WHERE is_only), false) AS "are_swept!"
  FROM (SELECT id, occurred_at FROM domain_events ORDER BY id DESC LIMIT 10000) AS newest
 WHERE newest.occurred_at > now() - interval '1 day'
   AND NOT EXISTS (SELECT FROM notification_processing p WHERE p.event_id = newest.id)
   AND NOT EXISTS (SELECT FROM notification_pruned r WHERE r.event_ids @> newest.id::bigint
                      AND (newest.occurred_at <= r.pruned_at) IS NOT FALSE)
