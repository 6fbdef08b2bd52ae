-- Writes what probe.sql has kept, event by event, and keeps the events that the database refuses
-- instead, each with its error; after five seconds the next event, without one. A block and not a
-- function: the application's triggers find the search path that they know.
DO $probe$
DECLARE
    event record;
    plan record;
    found jsonb := '[]';
    since CONSTANT timestamptz := clock_timestamp();
BEGIN
    FOR event IN
        SELECT * FROM jsonb_to_recordset(current_setting('notify_fan_out.probe')::jsonb)
               AS e (event_id bigint, plans jsonb)
    LOOP
        IF clock_timestamp() > since + interval '5 s' THEN
            found := found || jsonb_build_object('event_id', event.event_id);
            EXIT;
        END IF;
        BEGIN
            SET CONSTRAINTS ALL DEFERRED;
            FOR plan IN
                SELECT * FROM jsonb_to_recordset(event.plans) AS p (
                       event_type text, title text, body text, link_url text, payload jsonb,
                       coalesce_key text, subject text, body_data jsonb, email_project_id uuid,
                       email_project_name text, shown uuid[], immediate uuid[], aggregated uuid[])
            LOOP
                IF plan.coalesce_key IS NULL THEN
                    INSERT INTO notifications (user_id, event_id, title, body, link_url, payload)
                    SELECT unnest(plan.shown), event.event_id, plan.title, plan.body, plan.link_url,
                           plan.payload;
                ELSE
                    INSERT INTO notifications AS unread
                        (user_id, event_id, title, body, link_url, payload, coalesce_key, coalesce_count)
                    SELECT unnest(plan.shown), event.event_id, 1 || plan.title, 1 || plan.body,
                           plan.link_url, plan.payload || '{"count": 1}', plan.coalesce_key, 1
                    ON CONFLICT (user_id, coalesce_key) WHERE read_at IS NULL AND coalesce_key IS NOT NULL
                    DO UPDATE SET
                        created_at = greatest(unread.created_at, excluded.created_at),
                        event_id = greatest(unread.event_id, excluded.event_id),
                        title = excluded.title, body = excluded.body, link_url = excluded.link_url,
                        payload = excluded.payload, coalesce_count = unread.coalesce_count + 1,
                        updated_at = now();
                END IF;
                INSERT INTO pending_emails
                    (user_id, event_id, event_type, delivery_type, project_id, project_name, subject,
                     body_data, has_notification)
                SELECT mailed.user_id, event.event_id, plan.event_type, mailed.delivery_type,
                       plan.email_project_id, plan.email_project_name, plan.subject, plan.body_data,
                       plan.shown IS NOT NULL
                  FROM (SELECT unnest(plan.immediate) AS user_id, 'immediate' AS delivery_type
                        UNION ALL
                        SELECT unnest(plan.aggregated), 'aggregated') AS mailed;
            END LOOP;
            -- What is checked at the commit only is found with its event.
            SET CONSTRAINTS ALL IMMEDIATE;
        EXCEPTION WHEN OTHERS THEN
            found := found || jsonb_build_object('event_id', event.event_id,
                                                 'error', jsonb_build_object('code', SQLSTATE, 'message', SQLERRM));
        END;
    END LOOP;
    PERFORM set_config('notify_fan_out.probe', found::text, true);
END
$probe$
