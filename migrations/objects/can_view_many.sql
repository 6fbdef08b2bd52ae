-- can_view for many pairs at once, each given once: those of them that may view. The job calls only
-- this one. can_view stays the rule: where it is the application's own, it is called for each pair.
-- Where it is still the one of can_view.sql, this says the same in joins, which take a quarter of the
-- time. An application may replace this function, to answer for its own rule in one query too.
--
-- Planned anew each time: a plan for few pairs is a bad one for many. The other settings are those of
-- the statement around it; set here, they end with the function where it changes them.
CREATE OR REPLACE FUNCTION {home}.can_view_many(p_user_ids uuid[], p_resource_ids uuid[])
 RETURNS TABLE(user_id uuid, resource_id uuid)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO {path}
 SET plan_cache_mode TO 'force_custom_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
    IF EXISTS (
        SELECT FROM pg_proc
         WHERE oid = to_regprocedure('can_view(uuid, uuid)') AND NOT prosecdef
           AND proconfig = ARRAY['search_path=' || current_setting('search_path')]
           AND md5(prosrc) = '352ef822b8befaffc1c77dad305cd4fc')
    THEN
        RETURN QUERY
        -- OFFSET 0 keeps each look-up one by key: the planner, which can't tell how many there
        -- are, would read whole tables instead. Of a project that is open to very many, only the part
        -- that is asked for is read.
        WITH asked AS MATERIALIZED (
            SELECT (SELECT id FROM unnest(p_user_ids) AS id WHERE id IS NOT NULL ORDER BY id LIMIT 1) AS first,
                   (SELECT id FROM unnest(p_user_ids) AS id WHERE id IS NOT NULL ORDER BY id DESC LIMIT 1) AS last
        ),
        document AS MATERIALIZED (
            SELECT r.id, r.org_id, r.project_id
              FROM (SELECT DISTINCT unnest(p_resource_ids)) AS wanted (id)
             CROSS JOIN LATERAL (
                   SELECT * FROM resources WHERE resources.id = wanted.id OFFSET 0) AS r
             -- One row that the planner takes for a hundred: of few documents come very many pairs,
             -- which are to be joined by hash and not in a nested loop.
             CROSS JOIN jsonb_array_elements('[0]') AS many
        ),
        entitled AS MATERIALIZED (
            SELECT document.id AS resource_id, m.user_id
              FROM document
             CROSS JOIN LATERAL (
                   SELECT org_members.user_id FROM org_members
                    WHERE org_members.org_id = document.org_id AND role = 'owner' OFFSET 0) AS m
            UNION
            SELECT document.id, g.user_id
              FROM document
             CROSS JOIN asked
             CROSS JOIN LATERAL (
                   SELECT project_access_grants.user_id FROM project_access_grants
                    WHERE project_access_grants.project_id = document.project_id
                      AND project_access_grants.user_id BETWEEN asked.first AND asked.last OFFSET 0) AS g
        ),
        -- Of documents that are gone as well.
        own AS MATERIALIZED (
            SELECT wanted.id AS resource_id, p.user_id, p.permission <> 'none' AS allowed
              FROM (SELECT DISTINCT unnest(p_resource_ids)) AS wanted (id)
             CROSS JOIN asked
             CROSS JOIN LATERAL (
                   SELECT permissions.user_id, permission FROM permissions
                    WHERE permissions.resource_id = wanted.id
                      AND permissions.user_id BETWEEN asked.first AND asked.last OFFSET 0) AS p
        )
        SELECT pair.user_id, pair.resource_id
          FROM unnest(p_user_ids, p_resource_ids) AS pair (user_id, resource_id)
          LEFT JOIN own USING (user_id, resource_id)
          LEFT JOIN entitled USING (user_id, resource_id)
         WHERE coalesce(own.allowed, entitled.user_id IS NOT NULL);
    ELSE
        -- What the application's rule is planned with elsewhere.
        PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
                set_config('enable_mergejoin', 'on', true);
        RETURN QUERY
        SELECT pair.user_id, pair.resource_id
          FROM unnest(p_user_ids, p_resource_ids) AS pair (user_id, resource_id)
         WHERE can_view(pair.user_id, pair.resource_id);
    END IF;
END
$function$
