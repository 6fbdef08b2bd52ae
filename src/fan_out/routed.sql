-- From announcements to decisions: one row per announcement and endpoint, or phone, that its scope
-- and type reach, with the decision and its reason. The head of every statement that writes, shows
-- or explains; what follows selects from `announcement` and `routed`. $1 to $10: the announcements,
-- a column each (see Announced); $11, $12: the routes of the environment, channel and name; $13:
-- channels that have one transport for all recipients; $14: the channel of text messages.
WITH RECURSIVE announcement AS MATERIALIZED (
    -- Lists of different lengths can't be an array of arrays: theirs are text and JSON.
    SELECT a.*, channel_list::text[] AS channels,
           -- What was queued before the event was there is of another one, whose identifier it has.
           least(a.occurred_at, (
               SELECT created_at FROM notification_processing x
                WHERE x.event_id = a.event_id OFFSET 0)) AS there_since
      FROM unnest(
               $1::int[], $2::bigint[], $3::text[], $4::timestamptz[], $5::uuid[], $6::uuid[],
               $7::text[], $8::uuid[], $9::jsonb[], $10::jsonb[]
           ) AS a (
               announcement_no, event_id, event_type, occurred_at, org_id, project_id,
               channel_list, text_to, message, dedup_key_list)
),
-- Those of each scope once, however many announcements reach it. OFFSET 0 keeps a look-up one by key.
endpoint AS MATERIALIZED (
    SELECT id, name, scope, scope_id, channel, event_types, enabled
      FROM notification_endpoints
     WHERE scope_id IS NULL
    UNION ALL
    SELECT e.*
      FROM (SELECT 'organisation' AS scope, org_id AS scope_id FROM announcement
            UNION
            SELECT 'project', project_id FROM announcement) AS place
     CROSS JOIN LATERAL (
           SELECT id, name, scope, scope_id, channel, event_types, enabled
             FROM notification_endpoints x
            WHERE x.scope_id = place.scope_id AND x.scope = place.scope OFFSET 0) AS e
),
route AS MATERIALIZED (
    SELECT r.channel, r.name, target.disabled_reason IS NULL AS enabled
      FROM unnest($11::text[], $12::text[]) AS r (channel, name)
      LEFT JOIN LATERAL (
           -- By the channel alone, all its routes are disabled.
           SELECT max(disabled_reason) AS disabled_reason FROM notification_delivery_targets x
            WHERE x.target IN (r.name, 'env:' || r.channel)) AS target ON true
),
reached AS MATERIALIZED (
    SELECT a.announcement_no, a.event_id, a.there_since, place.channel, place.recipient, place.user_id,
           place.endpoint_id, place.name, place.enabled,
           CASE WHEN place.channel = ANY ($13::text[]) THEN place.channel ELSE place.recipient END AS target,
           -- Whoever chose SMS as a channel has chosen it for these events.
           place.user_id IS NULL AND place.channel <> ALL (a.channels) AS is_left_out,
           ARRAY(SELECT place.channel || '|' || place.recipient || '|' || key
                   FROM jsonb_array_elements_text(a.dedup_key_list) AS key) AS dedup_keys
      FROM announcement a
     CROSS JOIN LATERAL (
           SELECT e.channel, 'endpoint:' || e.id, NULL::uuid, e.id, e.name, e.enabled
             FROM endpoint e
            WHERE (e.scope_id IS NULL
                   OR e.scope = 'organisation' AND e.scope_id = a.org_id
                   OR e.scope = 'project' AND e.scope_id = a.project_id)
              AND e.event_types && ARRAY['*', a.event_type]
           UNION ALL
           SELECT r.channel, r.name, NULL, NULL, r.name, r.enabled FROM route r
           UNION ALL
           SELECT $14::text, 'user:' || a.text_to, a.text_to, NULL, NULL, true
            WHERE a.text_to IS NOT NULL
           ) AS place (channel, recipient, user_id, endpoint_id, name, enabled)
),
routed AS MATERIALIZED (
    SELECT r.*, CASE WHEN delivery.created_at >= r.there_since THEN delivery.id END AS delivery_id,
           CASE WHEN delivery.created_at < r.there_since THEN delivery.id END AS anothers_id,
           CASE WHEN delivery.created_at >= r.there_since THEN 'already_queued'
                WHEN NOT r.enabled THEN 'disabled'
                WHEN r.is_left_out THEN 'other_channel'
                ELSE coalesce(held.why, 'queued') END AS outcome
      FROM reached r
      LEFT JOIN LATERAL (
           SELECT x.id, x.created_at FROM notification_deliveries x
            WHERE x.event_id = r.event_id AND x.channel = r.channel
              AND x.recipient = r.recipient OFFSET 0) AS delivery ON true
     -- Of two reasons, the alert's own.
     CROSS JOIN LATERAL (
           SELECT max(CASE WHEN key LIKE '%|day:%' THEN 'duplicate_alert' ELSE 'duplicate' END)
             FROM unnest(r.dedup_keys) AS dedup (key)
            CROSS JOIN LATERAL (
                  SELECT x.until FROM notification_delivery_guards x
                   WHERE x.guard = dedup.key OFFSET 0) AS taken
            WHERE taken.until > now()) AS held (why)
)
