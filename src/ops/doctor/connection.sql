-- Whom the server takes us for, and over what.
SELECT current_user::text AS "role!", r.rolsuper AS "is_superuser!", r.rolbypassrls AS "bypasses_rls!",
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS "has_tls!",
       (inet_client_addr() IS NULL OR inet_client_addr() << '127.0.0.0/8'
        OR inet_client_addr() = '::1' OR inet_client_addr() = inet_server_addr()) AS "is_local!"
  FROM pg_roles r
 WHERE r.rolname = current_user
