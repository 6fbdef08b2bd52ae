-- What is pending and processing, from the partial indexes that hold only that. $1 stuck after
-- (seconds), $2 the types that are handled or ignored.
SELECT now() AS "checked_at!",
       pending.due AS "due!", pending.due_seconds, pending.scheduled AS "scheduled!",
       pending.next_seconds, pending.retrying AS "retrying!", pending.oldest_seconds,
       claimed.claims AS "claims!", claimed.stuck AS "stuck!", claimed.stuck_seconds
  FROM (SELECT count(*) FILTER (WHERE is_due) AS due,
               max(age) FILTER (WHERE is_due) AS due_seconds,
               count(*) FILTER (WHERE NOT is_due AND NOT is_unhandled) AS scheduled,
               min(wait) FILTER (WHERE NOT is_due AND NOT is_unhandled) AS next_seconds,
               count(*) FILTER (WHERE was_tried AND NOT is_unhandled) AS retrying,
               max(age) AS oldest_seconds
          FROM (SELECT greatest(extract(epoch FROM now() - greatest(least(coalesce(occurred_at, created_at), now()), '1970-01-01')), 0)::float8,
                       extract(epoch FROM next_attempt_at - now())::float8,
                       next_attempt_at <= now() OR coalesce(unhandled_type = ANY ($2), false),
                       next_attempt_at > now() AND coalesce(unhandled_type <> ALL ($2), false),
                       claimed_at IS NOT NULL
                  FROM notification_processing
                 WHERE processing_status = 'pending'
               ) AS row (age, wait, is_due, is_unhandled, was_tried)) AS pending,
       (SELECT count(*) AS claims, count(*) FILTER (WHERE age > $1) AS stuck,
               max(age) FILTER (WHERE age > $1) AS stuck_seconds
          FROM (SELECT extract(epoch FROM now() - coalesce(claimed_at, created_at))::float8
                  FROM notification_processing
                 WHERE processing_status = 'processing') AS row (age)) AS claimed
