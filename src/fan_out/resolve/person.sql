-- Part of resolve: what is known of each candidate.
-- The application's rule, asked once for all distinct pairs.
viewable AS MATERIALIZED (
    SELECT DISTINCT seen.user_id, seen.resource_id
      FROM (SELECT array_agg(user_id) AS users, array_agg(resource_id) AS resources
              FROM (SELECT DISTINCT c.user_id, p.resource_id
                      FROM candidate c
                      JOIN plan p USING (plan_no)
                     WHERE p.audience = 'project_viewers' AND p.resource_id IS NOT NULL
                       AND c.user_id IS NOT NULL AND c.user_id IS DISTINCT FROM p.actor_id) AS pair) AS pairs
     CROSS JOIN LATERAL can_view_many(pairs.users, pairs.resources) AS seen
     WHERE pairs.users IS NOT NULL
),
-- What the written user_id refers to besides profiles, where the role may read all of it: who is
-- missing there would be refused, and with them the event for everybody.
referenced AS MATERIALIZED (
    SELECT DISTINCT f.confrelid::regclass::text AS relation, key.attname AS key
      FROM pg_constraint f
      JOIN pg_attribute u ON u.attrelid = f.conrelid AND u.attname = 'user_id' AND f.conkey = ARRAY[u.attnum]
      JOIN pg_attribute key ON key.attrelid = f.confrelid AND key.attnum = f.confkey[1]
      JOIN pg_class c ON c.oid = f.confrelid
     WHERE f.conrelid IN ('notifications'::regclass, 'pending_emails'::regclass) AND f.contype = 'f'
       AND f.confrelid <> 'profiles'::regclass
       AND has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
       AND NOT row_security_active(c.oid)
),
-- Each person once, however many events of the batch concern them.
person AS MATERIALIZED (
    SELECT c.user_id,
           (SELECT true FROM profiles WHERE profiles.id = c.user_id LIMIT 1) AS is_known,
           -- Runs a query whose table is known only here. Nothing comes back of no rows.
           EXISTS (SELECT FROM referenced r
                    WHERE query_to_xml(format('SELECT 1 FROM %s WHERE %I = %L', r.relation, r.key, c.user_id),
                                       false, true, '')::text = '') AS is_refused
      FROM (SELECT DISTINCT user_id FROM candidate WHERE user_id IS NOT NULL) AS c
),
