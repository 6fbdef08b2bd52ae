-- The watching connections of daemons, whose names begin with $1. A role that may not look into them sees their
-- names only.
SELECT application_name AS "name!", backend_start AS connected_at,
       extract(epoch FROM clock_timestamp() - backend_start)::float8 AS connected_age_seconds,
       state_change AS seen_at, extract(epoch FROM clock_timestamp() - state_change)::float8 AS seen_age_seconds
  FROM pg_stat_activity
 WHERE datname = current_database() AND starts_with(application_name, $1)
 ORDER BY application_name, state_change DESC NULLS LAST
