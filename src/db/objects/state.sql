-- How each object stands: $1 its name, or signature; $2 the table of a trigger, empty for a function;
-- $3 its definition; $4 MD5 sums of earlier bodies, where the application may have its own; $5 the
-- schema of the service.
WITH object AS MATERIALIZED (
    SELECT o.*,
           -- As PostgreSQL prints it, but for white space, the schema and the value of search_path,
           -- which depend on who asks and where.
           btrim(regexp_replace(regexp_replace(replace(o.definition, $5 || '.', ''),
               'SET search_path TO [^\n]*', 'SET search_path'), '\s+', ' ', 'g')) AS wanted
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
           WITH ORDINALITY AS o (name, relation, definition, earlier, no)
), found AS (
    SELECT o.no, o.wanted, o.earlier, p.oid AS function, NULL::oid AS trigger, NULL::oid AS calls,
           pg_get_functiondef(p.oid) AS definition, md5(p.prosrc) AS sum, p.prosecdef,
           EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                    WHERE a.grantee = 0
                       OR a.grantee IN (SELECT oid FROM pg_roles WHERE rolname IN ('anon', 'authenticated'))) AS is_open
      FROM object o
      JOIN pg_proc p
        -- An application's own is one wherever the path finds it.
        ON p.oid = to_regprocedure(CASE WHEN o.relation <> '' THEN NULL
                                        WHEN o.earlier = '' THEN $5 || '.' || o.name
                                        ELSE o.name END)
    UNION ALL
    SELECT o.no, o.wanted, o.earlier, NULL, t.oid, t.tgfoid, pg_get_triggerdef(t.oid), NULL, false, false
      FROM object o
      JOIN pg_trigger t ON t.tgrelid = to_regclass(nullif(o.relation, '')) AND t.tgname = o.name
), judged AS (
    SELECT f.*,
           btrim(regexp_replace(regexp_replace(replace(f.definition, $5 || '.', ''),
               'SET search_path TO [^\n]*', 'SET search_path'), '\s+', ' ', 'g')) = f.wanted AS is_current
      FROM found f
)
SELECT CASE
           WHEN j.no IS NULL AND o.name LIKE 'get\_pending%' AND EXISTS (
                SELECT FROM pg_proc
                 WHERE proname = split_part(o.name, '(', 1)
                   AND pronamespace::regnamespace::name = ANY (current_schemas(false))) THEN 'foreign'
           WHEN j.no IS NULL THEN 'missing'
           WHEN j.is_current AND NOT j.is_open THEN 'current'
           WHEN j.is_current OR o.earlier = '' THEN 'outdated'
           WHEN NOT j.prosecdef AND j.sum = ANY (string_to_array(o.earlier, ' ')) THEN 'outdated'
           ELSE 'foreign'
       END AS "state!: State",
       CASE WHEN j.function IS NOT NULL THEN j.function::regprocedure::text END AS signature,
       -- What an earlier version's trigger called, if nothing else does.
       (SELECT p.oid::regprocedure::text
          FROM pg_proc p
         WHERE p.oid = j.calls AND p.proname IN ('enqueue_domain_events', 'close_read_notification')
           AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid AND t.oid <> j.trigger)) AS leftover
  FROM object o
  LEFT JOIN judged j USING (no)
 ORDER BY o.no
