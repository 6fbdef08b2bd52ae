-- Follows resolve.sql, behind the fence: writes notifications that are not coalesced, and e-mails, and
-- settles the events. $34 the events, $35 why each can't be decoded, or NULL.
-- What a person is notified of once; where the plan says so, for as long as its notification is there.
, once AS MATERIALIZED (
    SELECT d.user_id, p.once_key, d.event_id,
           d.in_app = 'deliver' AS is_shown, d.email IN ('immediate', 'aggregated') AS is_mailed,
           d.in_app = 'deliver' AND p.once_ends_with_notification AS ends_with_notification,
           (SELECT o.event_id FROM notification_once o
             WHERE o.user_id = d.user_id AND o.once_key = p.once_key) AS former
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE p.once_key IS NOT NULL
       AND (d.in_app = 'deliver' OR d.email IN ('immediate', 'aggregated'))
     ORDER BY d.user_id, p.once_key
),
renewed AS (
    UPDATE notification_once o
       SET event_id = once.event_id, ends_with_notification = once.ends_with_notification
      FROM once
     WHERE o.user_id = once.user_id AND o.once_key = once.once_key AND o.event_id = once.former
       -- The array keeps to the key's index, here and below.
       AND o.user_id = ANY (ARRAY(SELECT user_id FROM once WHERE former IS NOT NULL))
    RETURNING o.user_id, o.once_key
),
remembered AS (
    INSERT INTO notification_once (user_id, once_key, event_id, ends_with_notification)
    SELECT user_id, once_key, event_id, ends_with_notification
      FROM once
     WHERE (user_id, once_key) NOT IN (SELECT user_id, once_key FROM renewed)
     ORDER BY user_id, once_key
    -- Where another worker was faster, this waited for its commit, and leaves the recipient out.
    ON CONFLICT (user_id, once_key) DO NOTHING
    RETURNING user_id, once_key
),
first AS MATERIALIZED (SELECT * FROM renewed UNION ALL SELECT * FROM remembered),
late AS MATERIALIZED (
    SELECT is_shown, is_mailed FROM once
     WHERE (user_id, once_key) NOT IN (SELECT user_id, once_key FROM first)
),
shown AS (
    INSERT INTO notifications (user_id, event_id, title, body, link_url, payload, created_at)
    SELECT d.user_id, d.event_id, p.title, p.body, p.link_url, p.payload,
           -- Applications sort by it. The next batch begins later than the last plan of this one.
           now() + p.plan_no * interval '1 microsecond'
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE d.in_app = 'deliver'
       AND (p.once_key IS NULL OR (d.user_id, p.once_key) IN (SELECT user_id, once_key FROM first))
     ORDER BY d.event_id, d.user_id
),
queued AS (
    INSERT INTO pending_emails
        (user_id, event_id, event_type, delivery_type, project_id, project_name, subject, body_data,
         has_notification)
    SELECT d.user_id, d.event_id, p.event_type, d.email, p.email_project_id, p.email_project_name,
           p.subject, p.body_data, d.in_app = 'deliver'
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE d.email IN ('immediate', 'aggregated')
       AND (p.once_key IS NULL OR (d.user_id, p.once_key) IN (SELECT user_id, once_key FROM first))
     ORDER BY d.event_id, d.user_id
),
settled AS (
    UPDATE notification_processing np
       SET processing_status = CASE WHEN mine.error IS NULL THEN 'completed' ELSE 'failed' END,
           completed_at = now(),
           error_message = mine.error
      FROM unnest($34::bigint[], $35::text[]) AS mine (event_id, error)
     WHERE np.event_id = mine.event_id AND np.event_id = ANY ($34)
    RETURNING 1
)
-- Nothing else is left out on a conflict: what was decided is what was written.
SELECT count(*) FILTER (WHERE in_app = 'deliver')
           - (SELECT count(*) FROM late WHERE is_shown) AS notifications,
       count(*) FILTER (WHERE email IN ('immediate', 'aggregated'))
           - (SELECT count(*) FROM late WHERE is_mailed) AS emails,
       count(*) FILTER (WHERE in_app NOT IN ('deliver', 'none', 'actor')
                           OR email NOT IN ('immediate', 'aggregated', 'none', 'actor'))
           + (SELECT count(*) FROM late) AS suppressed,
       (SELECT count(*) FROM settled) AS settled
  FROM decision
