-- Follows resolve.sql, behind the fence: one unread notification per recipient and key. Comes last,
-- and in one order, because workers meet here: each worker with an event of a thread writes the
-- rows of all its recipients.
, coalesced AS (
    -- Plans are numbered in the order of their events: the last one gives the text.
    SELECT d.user_id, p.coalesce_key, sum(p.events)::int AS events, max(d.event_id) AS newest_event,
           max(p.plan_no) AS last_plan
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE d.in_app = 'deliver'
     GROUP BY d.user_id, p.coalesce_key
),
written AS (
    INSERT INTO notifications AS unread
        (user_id, event_id, title, body, link_url, payload, coalesce_key, coalesce_count, created_at)
    SELECT g.user_id, g.newest_event, g.events || p.title, g.events || p.body, p.link_url,
           p.payload || jsonb_build_object('count', g.events), g.coalesce_key, g.events,
           now() + p.plan_no * interval '1 microsecond'
      FROM coalesced g
      JOIN plan p ON p.plan_no = g.last_plan
     ORDER BY g.coalesce_key, g.user_id
    ON CONFLICT (user_id, coalesce_key) WHERE read_at IS NULL AND coalesce_key IS NOT NULL
    DO UPDATE SET
        -- It moves up in the bell, and goes with the newest of its events, not with the first.
        created_at = greatest(unread.created_at, excluded.created_at),
        event_id = greatest(unread.event_id, excluded.event_id),
        -- The count is in front of the text: only the count is replaced.
        title = (unread.coalesce_count + excluded.coalesce_count)
                || substr(excluded.title, 1 + length(excluded.coalesce_count::text)),
        body = (unread.coalesce_count + excluded.coalesce_count)
                || substr(excluded.body, 1 + length(excluded.coalesce_count::text)),
        link_url = excluded.link_url,
        payload = excluded.payload
                || jsonb_build_object('count', unread.coalesce_count + excluded.coalesce_count),
        coalesce_count = unread.coalesce_count + excluded.coalesce_count,
        updated_at = now()
    -- Only a row that was inserted by this statement has never been locked or updated.
    RETURNING (unread.xmax = 0) AS is_new
)
SELECT count(*) AS notifications,
       (SELECT coalesce(sum(events), 0) FROM coalesced) - count(*) AS merged,
       (SELECT coalesce(sum(p.events), 0)
          FROM decision d
          JOIN plan p USING (plan_no)
         WHERE d.in_app NOT IN ('deliver', 'none', 'actor')) AS suppressed
  FROM written
 WHERE is_new
