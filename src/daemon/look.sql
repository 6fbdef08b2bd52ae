-- What a waiting daemon has to know, by one probe of an index each.
SELECT extract(epoch FROM now())::float8 AS now,
       (SELECT last_value % 1024 = 0 FROM notification_wake_seq) AS is_armed,
       -- The next event to be claimed, in seconds from now.
       (SELECT extract(epoch FROM next_attempt_at - now())::float8
          FROM notification_processing
         WHERE processing_status = 'pending'
         ORDER BY next_attempt_at, event_id LIMIT 1) AS next_event_in,
       (SELECT extract(epoch FROM now() - min(claimed_at))::float8
          FROM notification_processing
         WHERE processing_status = 'processing') AS oldest_claim_age,
       -- These rise when something is added.
       (SELECT max(id)::bigint FROM domain_events) AS newest_event,
       (SELECT max(id) FROM notification_deliveries) AS newest_delivery,
       (SELECT extract(epoch FROM max(created_at))::float8
          FROM pending_emails
         WHERE status = 'pending' AND delivery_type = 'immediate') AS newest_email,
       -- Leases that ended with their sender.
       (SELECT min(lease_until) < now()
          FROM notification_deliveries
         WHERE status = 'sending') IS TRUE AS has_expired_lease
