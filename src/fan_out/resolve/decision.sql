-- Part of resolve: the decision per candidate and channel.
-- What is there already: left by an older job, or by a plan for the same event and person.
notified AS MATERIALIZED (
    SELECT event.event_id, found.user_id
      FROM (SELECT DISTINCT event_id FROM plan WHERE in_app) AS event
     CROSS JOIN LATERAL (
               SELECT DISTINCT n.user_id FROM notifications n
                WHERE n.event_id = event.event_id
                  AND ($30::uuid IS NULL OR n.user_id > $30)
                  AND ($31::uuid IS NULL OR n.user_id <= $31) OFFSET 0) AS found
),
mailed AS MATERIALIZED (
    SELECT event.event_id, found.user_id
      FROM (SELECT DISTINCT event_id FROM plan WHERE email IS NOT NULL) AS event
     CROSS JOIN LATERAL (
               SELECT DISTINCT m.user_id FROM pending_emails m
                WHERE m.event_id = event.event_id
                  AND ($30::uuid IS NULL OR m.user_id > $30)
                  AND ($31::uuid IS NULL OR m.user_id <= $31) OFFSET 0) AS found
),
-- Of several events in one batch that notify a person only once, the first counts.
first_of_its_kind AS MATERIALIZED (
    SELECT DISTINCT ON (c.user_id, p.once_key) c.user_id, p.once_key, p.plan_no
      FROM candidate c
      JOIN plan p USING (plan_no)
     WHERE p.once_key IS NOT NULL AND (
               SELECT true FROM notification_once o
                WHERE o.user_id = c.user_id AND o.once_key = p.once_key
                  AND NOT ($33 AND o.event_id = p.event_id)
                  -- Deleted by the application, and not with its event: it begins anew.
                  AND NOT (o.ends_with_notification
                           AND (SELECT true FROM domain_events e
                                 WHERE e.id = o.event_id LIMIT 1) IS NOT NULL
                           AND (SELECT true FROM notifications n
                                 WHERE n.event_id = o.event_id AND n.user_id = o.user_id
                                 LIMIT 1) IS NULL)) IS NULL
     ORDER BY c.user_id, p.once_key, p.event_id, p.plan_no
),
decision AS MATERIALIZED (
    SELECT p.plan_no, p.event_id, c.user_id, preference.in_app_no, preference.email_no,
           CASE WHEN stop.reason IS NOT NULL THEN stop.reason
                WHEN NOT p.in_app THEN 'none'
                WHEN in_app.status = 'muted' THEN 'muted'
                WHEN notified.user_id IS NOT NULL THEN 'already_notified'
                ELSE 'deliver' END AS in_app,
           CASE WHEN stop.reason IS NOT NULL THEN stop.reason
                WHEN p.email IS NULL THEN 'none'
                WHEN email.status = 'muted' THEN 'muted'
                WHEN $32 AND email.status IS NULL AND in_app.status = 'muted' THEN 'muted_in_app'
                WHEN mailed.user_id IS NOT NULL THEN 'already_notified'
                WHEN email.status = 'digest' THEN 'aggregated'
                WHEN email.status = 'immediate' THEN 'immediate'
                ELSE p.email END AS email
      FROM candidate c
      JOIN plan p USING (plan_no)
      LEFT JOIN person ON person.user_id = c.user_id
      LEFT JOIN viewable ON viewable.user_id = c.user_id AND viewable.resource_id = p.resource_id
      LEFT JOIN preference ON preference.plan_no = c.plan_no AND preference.user_id = c.user_id
      LEFT JOIN stored_preference in_app ON in_app.preference_no = preference.in_app_no
      LEFT JOIN stored_preference email ON email.preference_no = preference.email_no
      LEFT JOIN notified ON notified.event_id = p.event_id AND notified.user_id = c.user_id
      LEFT JOIN mailed ON mailed.event_id = p.event_id AND mailed.user_id = c.user_id
      LEFT JOIN first_of_its_kind once ON once.plan_no = c.plan_no AND once.user_id = c.user_id
     CROSS JOIN LATERAL (SELECT CASE
               WHEN c.user_id = p.actor_id THEN 'actor'
               WHEN person.is_known IS NOT TRUE THEN 'unknown_person'
               WHEN person.is_refused THEN 'unknown_recipient'
               WHEN NOT c.belongs THEN 'not_a_member'
               WHEN p.audience = 'project_viewers' AND p.resource_id IS NOT NULL
                    AND viewable.user_id IS NULL THEN 'no_access'
               WHEN p.once_key IS NOT NULL AND once.plan_no IS NULL THEN 'notified_once'
            END OFFSET 0) AS stop (reason)
)
