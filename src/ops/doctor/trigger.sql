-- The trigger, whether it fires for ordinary sessions, and whether its function can do its work.
SELECT t.tgenabled IN ('O', 'A') AS "fires!",
       NOT p.prosecdef
           OR has_table_privilege(p.proowner, to_regclass('notification_processing'), 'INSERT')
           OR has_any_column_privilege(p.proowner, to_regclass('notification_processing'), 'INSERT') AS "may_insert!"
  FROM pg_trigger t
  JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE t.tgrelid = to_regclass('domain_events') AND t.tgname = 'notify_fan_out_enqueue'
