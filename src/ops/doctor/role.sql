-- Who the role is, and whether it may also delete what is done.
SELECT current_user::text AS "role!",
       coalesce(bool_and(has_table_privilege(to_regclass(t.name), 'DELETE')), false) AS "may_prune!"
  FROM unnest(ARRAY['notification_processing', 'notifications', 'pending_emails',
                    'notification_deliveries', 'notification_delivery_guards']) AS t (name)
