-- Deletes up to $1 expired dedup keys, from expiry $2 on, where the last batch ended.
WITH over AS MATERIALIZED (
    SELECT guard
      FROM notification_delivery_guards
     WHERE until < now() AND until >= $2
     ORDER BY until
     LIMIT $1
       FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM notification_delivery_guards
     WHERE guard = ANY (ARRAY(SELECT guard FROM over))
    RETURNING until
)
SELECT count(*) AS "deleted!", max(until) AS next FROM gone
