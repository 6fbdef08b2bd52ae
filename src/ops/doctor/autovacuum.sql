-- For what autovacuum is off: everything, or single tables of the service.
SELECT 'all tables' AS "off!"
 WHERE current_setting('autovacuum') <> 'on' OR current_setting('track_counts') <> 'on'
UNION ALL
SELECT t.name
  FROM unnest(ARRAY['domain_events', 'notification_processing', 'notifications', 'pending_emails',
                    'notification_deliveries']) AS t (name)
  JOIN pg_class c ON c.oid = to_regclass(t.name)
 WHERE EXISTS (SELECT FROM pg_options_to_table(c.reloptions) AS o
                WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean)
