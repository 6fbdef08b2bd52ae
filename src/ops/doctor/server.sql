-- What the server is.
SELECT current_setting('server_version_num')::int AS "version_number!",
       split_part(current_setting('server_version'), ' ', 1) AS "version!",
       pg_is_in_recovery() AS "is_standby!"
