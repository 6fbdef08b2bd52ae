-- The moment before which things are old, and the tables whose rows go with an event because
-- they refer to it so. $1: age in seconds. $2: whether events are deleted.
SELECT now() - make_interval(secs => $1) AS "older_than!",
       coalesce((SELECT array_agg(c.conrelid::regclass::text ORDER BY 1)
                   FROM pg_constraint c
                  WHERE $2 AND c.confrelid = to_regclass('domain_events') AND c.contype = 'f'
                    AND c.confdeltype = 'c'
                    AND c.conrelid <> ALL (ARRAY[
                        to_regclass('notification_processing')::oid,
                        to_regclass('notifications')::oid,
                        to_regclass('pending_emails')::oid])), '{}') AS "cascades_to!"
