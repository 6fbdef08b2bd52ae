-- One worker at a time gathers what waits: two would make two digests for a person.
SELECT pg_try_advisory_xact_lock($1) AS "acquired!"
