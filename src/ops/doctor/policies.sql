-- What row level security does to the role on each relation named ($1). A policy that is `true`
-- for reading and writing is certain to show all and take all; whatever else it says may not.
SELECT t.name AS "relation!", rls.is_active AS "is_active!",
       rls.is_active AND NOT (can.see AND NOT can.lose) AS "hides_rows!",
       rls.is_active AND can.see AND NOT can.lose AND t.name = ANY (ARRAY[
           'notification_processing', 'notifications', 'pending_emails', 'notification_once',
           'notification_endpoints', 'notification_deliveries', 'notification_delivery_attempts',
           'notification_delivery_targets', 'notification_delivery_guards'])
           AND has_any_column_privilege(c.oid, 'INSERT, UPDATE')
           AND NOT (can.change AND NOT can.be_refused) AS "refuses_rows!",
       c.relkind = 'v' AND EXISTS (
           SELECT FROM pg_options_to_table(c.reloptions) AS o
            WHERE o.option_name = 'security_invoker' AND o.option_value::boolean) AS "is_opaque!"
  FROM (SELECT unnest($1::text[])
        UNION
        -- What can_view reads it reads as its caller, unless it says otherwise.
        SELECT 'permissions' FROM pg_proc
         WHERE oid = to_regprocedure('can_view(uuid, uuid)') AND NOT prosecdef) AS t (name)
  JOIN pg_class c ON c.oid = to_regclass(t.name)
 CROSS JOIN LATERAL (SELECT c.relkind IN ('r', 'p') AND row_security_active(c.oid)) AS rls (is_active)
 CROSS JOIN LATERAL (
       SELECT coalesce(bool_or(p.polpermissive AND p.polcmd IN ('r', '*') AND q.shows_all), false),
              coalesce(bool_or(NOT p.polpermissive AND p.polcmd IN ('r', '*') AND NOT q.shows_all), false),
              -- For writing one policy for all commands, or one for each of the two.
              coalesce(bool_or(p.polpermissive AND p.polcmd IN ('a', '*') AND q.takes_all), false)
                  AND coalesce(bool_or(p.polpermissive AND p.polcmd IN ('w', '*') AND q.shows_all AND q.takes_all), false),
              coalesce(bool_or(NOT p.polpermissive AND p.polcmd IN ('a', 'w', '*') AND NOT (q.shows_all AND q.takes_all)), false)
         FROM pg_policy p
        CROSS JOIN LATERAL (SELECT
                  coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') = 'true',
                  coalesce(pg_get_expr(p.polwithcheck, p.polrelid), pg_get_expr(p.polqual, p.polrelid), 'true') = 'true'
              ) AS q (shows_all, takes_all)
        WHERE p.polrelid = c.oid
          AND EXISTS (SELECT FROM unnest(p.polroles) AS r (role)
                       WHERE r.role = 0 OR pg_has_role(r.role, 'USAGE'))
       ) AS can (see, lose, change, be_refused)
 ORDER BY 1
