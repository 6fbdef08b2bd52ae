-- What was chosen, by channel; the last of the page is in each row, and there is one even if nothing was.
SELECT counted.name, counted.ids, coalesce(counted.uncertain, 0) AS uncertain,
       coalesce(counted.to_disabled, 0) AS to_disabled,
       (SELECT count(*) FROM mails) AS emails, (SELECT max(id) FROM page) AS reached
  FROM (SELECT 1) AS always
  LEFT JOIN (
       SELECT c.channel AS name, array_agg(c.id ORDER BY c.id) AS ids,
              count(*) FILTER (WHERE c.status = 'uncertain') AS uncertain,
              count(*) FILTER (WHERE e.enabled IS FALSE OR t.disabled_reason IS NOT NULL
                                  OR c.endpoint_id IS NOT NULL AND e.id IS NULL) AS to_disabled
         FROM chosen c
         LEFT JOIN notification_endpoints e ON e.id = c.endpoint_id
         LEFT JOIN notification_delivery_targets t ON t.target = c.recipient AND c.endpoint_id IS NULL
        GROUP BY c.channel
       ) AS counted ON true
