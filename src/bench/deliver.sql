-- So many messages that are due: webhooks for ten endpoints, or e-mails for people, as bench.what says.
TRUNCATE notification_deliveries, notification_delivery_attempts, notification_delivery_targets,
    notification_delivery_guards, notification_endpoints, pending_emails;
INSERT INTO notification_endpoints (id, name, channel, target, settings)
SELECT md5('endpoint' || n)::uuid, 'Endpoint ' || n, 'webhook', 'the benchmark',
       json_build_object('url', current_setting('bench.base') || 'hooks/' || n,
           'secrets', ARRAY['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'])
  FROM generate_series(0, 9) AS n;
INSERT INTO notification_deliveries (channel, target, recipient, endpoint_id, event_type, message)
SELECT 'webhook', t.name, t.name, e.id, 'payment_failed',
       jsonb_build_object('title', 'Payment of tenant ' || n || ' failed', 'text', 'The card was declined.',
           'severity', 'critical', 'link_url', '/billing?tenant=' || n,
           'data', jsonb_build_object('tenant_id', n, 'amount', 12.5, 'reason', 'card_declined'))
  FROM generate_series(1, current_setting('bench.messages')::int) AS n
  JOIN notification_endpoints e ON e.id = md5('endpoint' || n % 10)::uuid
 CROSS JOIN LATERAL (SELECT 'endpoint:' || e.id) AS t (name)
 WHERE current_setting('bench.what') = 'webhooks';
INSERT INTO pending_emails (user_id, event_id, event_type, delivery_type, subject, body_data)
SELECT p.id, e.id, 'meeting_updated', 'immediate', 'Moved: Quarterly review',
       '{"meeting_title": "Quarterly review", "link_url": "/meetings/1"}'
  FROM (SELECT id FROM domain_events ORDER BY id LIMIT 10) AS e
 CROSS JOIN profiles p
 WHERE current_setting('bench.what') = 'emails'
   AND NOT EXISTS (
       SELECT FROM user_notification_preferences u WHERE u.user_id = p.id AND u.status = 'muted')
 ORDER BY e.id
 LIMIT current_setting('bench.messages')::int;
VACUUM (ANALYZE) notification_deliveries, notification_endpoints, pending_emails;
CHECKPOINT;
