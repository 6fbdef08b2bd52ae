-- The failed events that are asked for and, unless they are to be discarded ($9), pending ones of an unhandled
-- type that was corrected to one of $10. $1 identifiers, $2 event types, $3 a pattern of the error. NULL: any.
-- The head of each statement that counts or changes them.
WITH matching AS (
    SELECT np.event_id AS id, e.event_type::text AS name
      FROM (
               SELECT * FROM notification_processing WHERE processing_status = 'failed'
               UNION ALL
               -- BETWEEN keeps the index of what is due out of it: there is more of that.
               SELECT * FROM notification_processing
                WHERE processing_status BETWEEN 'pending' AND 'pending' AND unhandled_type IS NOT NULL) AS np
      JOIN domain_events e ON e.id = np.event_id
     WHERE (np.processing_status = 'failed' OR NOT $9::boolean AND e.event_type::text = ANY ($10::text[]))
       AND ($1::bigint[] IS NULL OR np.event_id = ANY ($1))
       AND ($2::text[] IS NULL OR e.event_type::text = ANY ($2))
       AND ($3::text IS NULL OR np.error_message LIKE $3)
)
