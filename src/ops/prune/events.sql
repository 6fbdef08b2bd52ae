-- Deletes the events of the next ranges of pruned identifiers, about $2 of them, that were
-- completed before $1. Only events that no notification, mail or delivery refers to: nothing that a
-- person could still read, or that is still to be sent, goes with them. $3: the range after which
-- to go on.
WITH next AS MATERIALIZED (
    SELECT event_ids, completed_at, pruned_at,
           sum(upper(event_ids) - lower(event_ids)) OVER (ORDER BY event_ids) AS width
      FROM (SELECT event_ids, completed_at, pruned_at
              FROM notification_pruned
             WHERE event_ids > $3
             ORDER BY event_ids
             LIMIT $2) AS some_ranges
),
-- At least one, however wide.
taken AS MATERIALIZED (
    SELECT event_ids, pruned_at, completed_at < $1 AS is_old
      FROM next
     WHERE width - (upper(event_ids) - lower(event_ids)) < $2
),
marked AS MATERIALIZED (
    SELECT event_ids, pruned_at, generate_series(lower(event_ids), upper(event_ids) - 1) AS id
      FROM taken WHERE is_old
),
found AS MATERIALIZED (
    SELECT id::bigint AS id, occurred_at
      FROM domain_events WHERE id = ANY (ARRAY(SELECT id FROM marked))
),
-- What occurred after the prune is another event with the identifier of an earlier one.
present AS MATERIALIZED (
    SELECT event_ids, id
      FROM marked
      JOIN found USING (id)
     WHERE (occurred_at <= pruned_at) IS NOT FALSE
),
free AS MATERIALIZED (
    SELECT id
      FROM present
     WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.event_id = present.id)
       AND NOT EXISTS (SELECT FROM pending_emails m WHERE m.event_id = present.id)
       AND NOT EXISTS (SELECT FROM notification_deliveries d WHERE d.event_id = present.id)
       AND NOT EXISTS (SELECT FROM notification_processing p WHERE p.event_id = present.id)
),
gone AS (
    DELETE FROM domain_events WHERE id = ANY (ARRAY(SELECT id FROM free)) RETURNING 1
),
-- A mark is needed for no longer than one of its events is there.
kept AS MATERIALIZED (
    SELECT DISTINCT event_ids
      FROM present
      JOIN (SELECT id FROM present EXCEPT SELECT id FROM free) AS stays USING (id)
),
forgotten AS (
    DELETE FROM notification_pruned
     WHERE event_ids = ANY (ARRAY(
               SELECT event_ids FROM taken WHERE is_old
               EXCEPT SELECT event_ids FROM kept))
)
SELECT (SELECT count(*) FROM gone) AS "deleted!",
       (SELECT event_ids FROM taken ORDER BY event_ids DESC LIMIT 1) AS next
