-- Follows routed.sql and writes nothing: each decision, with its delivery if there is one.
SELECT h.announcement_no, h.channel, h.recipient, h.user_id, h.name, h.outcome, h.dedup_keys,
       h.delivery_id::text AS delivery_id, delivery.status::text AS status,
       delivery.code IS NOT DISTINCT FROM 'duplicate' AS is_duplicate
  FROM routed h
  LEFT JOIN LATERAL (
       SELECT x.status, x.code FROM notification_deliveries x
        WHERE x.id = h.delivery_id OFFSET 0) AS delivery ON true
 ORDER BY h.announcement_no, h.channel, h.name, h.recipient
