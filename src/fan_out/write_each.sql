-- Follows resolve.sql, behind the fence: writes what stands for itself, and settles the events.
-- $31 the events, $32 those that no handler understands, and why (a JSON
-- array, see Invalid).
, told AS (
    INSERT INTO notifications (user_id, event_id, title, body, link_url, payload, created_at)
    SELECT d.user_id, d.event_id, p.title, p.body, p.link_url, p.payload,
           -- Applications sort by it. The next batch begins later than the last plan of this one.
           now() + p.plan_no * interval '1 microsecond'
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE d.in_app = 'deliver'
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
     ORDER BY d.event_id, d.user_id
),
remembered AS (
    INSERT INTO notification_once (user_id, once_key, event_id)
    SELECT d.user_id, p.once_key, d.event_id
      FROM decision d
      JOIN plan p USING (plan_no)
     WHERE p.once_key IS NOT NULL
       AND (d.in_app = 'deliver' OR d.email IN ('immediate', 'aggregated'))
     ORDER BY d.user_id, p.once_key
),
invalid AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($32::jsonb) AS i (event_id bigint, error text)
),
settled AS (
    UPDATE notification_processing np
       SET processing_status = CASE WHEN i.event_id IS NULL THEN 'completed' ELSE 'failed' END,
           completed_at = now(),
           error_message = i.error
      FROM unnest($31::bigint[]) AS mine (event_id)
      LEFT JOIN invalid i USING (event_id)
     -- The array keeps to the key's index, however small the table seems.
     WHERE np.event_id = mine.event_id AND np.event_id = ANY ($31)
    RETURNING 1
)
-- Nothing is left out on a conflict: what was decided is what was written.
SELECT count(*) FILTER (WHERE in_app = 'deliver') AS notifications,
       count(*) FILTER (WHERE email IN ('immediate', 'aggregated')) AS emails,
       count(*) FILTER (WHERE in_app NOT IN ('deliver', 'none', 'actor')
                           OR email NOT IN ('immediate', 'aggregated', 'none', 'actor')) AS suppressed,
       (SELECT count(*) FROM settled) AS settled
  FROM decision
