-- Counts the events that match. $1 to $3 as in retry.sql, $4 as $6 there.
SELECT e.event_type::text AS "event_type!", count(*) AS "events!"
  FROM (
           SELECT * FROM notification_processing WHERE processing_status = 'failed'
           UNION ALL
           SELECT * FROM notification_processing
            WHERE processing_status BETWEEN 'pending' AND 'pending' AND unhandled_type IS NOT NULL) AS np
  JOIN domain_events e ON e.id = np.event_id
 WHERE (np.processing_status = 'failed' OR e.event_type::text = ANY ($4))
   AND ($1::bigint[] IS NULL OR np.event_id = ANY ($1))
   AND ($2::text[] IS NULL OR e.event_type::text = ANY ($2))
   AND ($3::text IS NULL OR np.error_message LIKE $3)
 GROUP BY e.event_type
