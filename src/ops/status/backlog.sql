-- Events that are pending, from the partial index that holds only those. $1 the types that are handled or
-- ignored.
SELECT pending.due_count AS "due_count!", pending.oldest_due_age_seconds,
       pending.scheduled_count AS "scheduled_count!", pending.next_due_in_seconds,
       pending.retrying_count AS "retrying_count!", pending.oldest_age_seconds,
       unhandled.count AS "without_handler_count!",
       unhandled.types AS "without_handler!: Json<Vec<WithoutHandler>>"
  FROM (SELECT count(*) FILTER (WHERE is_due) AS due_count,
               max(age) FILTER (WHERE is_due) AS oldest_due_age_seconds,
               count(*) FILTER (WHERE NOT is_due AND NOT is_unhandled) AS scheduled_count,
               min(wait) FILTER (WHERE NOT is_due AND NOT is_unhandled) AS next_due_in_seconds,
               count(*) FILTER (WHERE was_tried AND NOT is_unhandled) AS retrying_count,
               max(age) AS oldest_age_seconds
          FROM (SELECT greatest(extract(epoch FROM now() - greatest(least(coalesce(occurred_at, created_at), now()), '1970-01-01')), 0)::float8,
                       extract(epoch FROM next_attempt_at - now())::float8,
                       next_attempt_at <= now() OR coalesce(unhandled_type = ANY ($1), false),
                       next_attempt_at > now() AND coalesce(unhandled_type <> ALL ($1), false),
                       claimed_at IS NOT NULL
                  FROM notification_processing
                 WHERE processing_status = 'pending'
               ) AS row (age, wait, is_due, is_unhandled, was_tried)) AS pending,
       (SELECT coalesce(sum(count), 0)::bigint AS count,
               coalesce(jsonb_agg(of_type ORDER BY count DESC, event_type), '[]') AS types
          FROM (SELECT unhandled_type AS event_type, count(*) AS count,
                       greatest(max(extract(epoch FROM now() - greatest(least(coalesce(occurred_at, created_at), now()), '1970-01-01'))), 0)::float8
                           AS oldest_age_seconds,
                       greatest(min(extract(epoch FROM next_attempt_at - now())), 0)::float8 AS expires_in_seconds
                  FROM notification_processing
                 WHERE unhandled_type IS NOT NULL AND unhandled_type <> ALL ($1)
                   AND processing_status = 'pending' AND next_attempt_at > now()
                 GROUP BY unhandled_type) AS of_type) AS unhandled
