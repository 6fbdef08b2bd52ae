-- What was chosen, by channel and status; the last of the page is in each row, and there is one even
-- if nothing was.
SELECT counted.channel, counted.status, coalesce(counted.deliveries, 0) AS deliveries,
       coalesce(counted.to_disabled, 0) AS to_disabled, counted.ids,
       (SELECT count(*) FROM mails) AS mails, (SELECT max(id) FROM page) AS reached
  FROM (SELECT 1) AS always
  LEFT JOIN (
       SELECT c.channel, c.status, count(*) AS deliveries, array_agg(c.id ORDER BY c.id) AS ids,
              count(*) FILTER (WHERE e.enabled IS FALSE OR t.disabled_reason IS NOT NULL
                                  OR c.endpoint_id IS NOT NULL AND e.id IS NULL) AS to_disabled
         FROM chosen c
         LEFT JOIN notification_endpoints e ON e.id = c.endpoint_id
         LEFT JOIN notification_delivery_targets t ON t.target = c.recipient AND c.endpoint_id IS NULL
        GROUP BY c.channel, c.status
       ) AS counted ON true
