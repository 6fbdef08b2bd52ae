-- One event of each operator type, over the world of world.sql. The owners of the organisations hear
-- of them, Chiara of what is about her, and the endpoints that there are.
WITH added AS (
    INSERT INTO domain_events (event_type, actor_id, project_id, org_id, payload)
    SELECT event_type, actor_id, project_id, org_id, payload::jsonb
      FROM (VALUES
        (1, 'tenant_created', NULL::uuid, NULL::uuid, '5eed5eed-fa11-4002-8000-000000000002'::uuid,
         '{"name": "Northwind Lending", "email": "billing@example.org", "billing_plan": "growth"}'),
        (2, 'payment_succeeded', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000001',
         '{"amount": "480.00", "currency": "EUR", "payment_id": "pay_20491"}'),
        -- As other systems write it.
        (3, 'payment.failed', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000002',
         '{"tenant_id": "tenant-31", "reason": "The card was declined", "amount": 96.5}'),
        -- Ada launched it: of the owners she does not hear of it.
        (4, 'node_launched', '5eed5eed-fa11-4001-8000-000000000001', '5eed5eed-fa11-4003-8000-000000000001',
         '5eed5eed-fa11-4002-8000-000000000001',
         '{"node_id": "node-17", "provider": "runpod", "region": "eu-west-1", "gpu": "A100", "model": "llama-70b",
           "duration": "4h", "spot": true, "price": "1.20"}'),
        (5, 'node_terminated', NULL, '5eed5eed-fa11-4003-8000-000000000001', '5eed5eed-fa11-4002-8000-000000000001',
         '{"node_id": "node-17", "time_remaining": "52m", "reason": "Spot capacity was reclaimed"}'),
        (6, 'node_health_degraded', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000001',
         '{"node_id": "node-18", "health_score": 42, "issues": ["GPU temperature is 91 °C", "Disk is 97% full"]}'),
        (7, 'cost_anomaly_detected', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000001',
         '{"current_cost": 182.4, "average_cost": 96, "threshold": "150%", "currency": "EUR"}'),
        (8, 'ratelimit_threshold_reached', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000001',
         '{"usage": 9120, "limit": 10000, "threshold_percent": 90}'),
        (9, 'margin_alert', NULL, NULL, '5eed5eed-fa11-4002-8000-000000000001',
         '{"user_id": "5eed5eed-fa11-4001-8000-000000000003", "health_score": "1.08", "severity": "critical",
           "message": "Add collateral, or positions will be closed."}'),
        -- To Chiara in the application, by text message and to Slack. Seeded again on the same day,
        -- it is told once.
        (10, 'alert_triggered', NULL, '5eed5eed-fa11-4003-8000-000000000001', NULL,
         '{"alert_id": "alert-204", "user_id": "5eed5eed-fa11-4001-8000-000000000003", "name": "Occupancy below 90%",
           "message": "Quayside Lofts is at 87.5%.", "condition_json": {"metric": "occupancy", "below": 90},
           "channels": {"inapp": true, "sms": true, "slack": true}}')
      ) AS event (place, event_type, actor_id, project_id, org_id, payload)
     ORDER BY place
    RETURNING id, event_type::text AS event_type
)
SELECT event_type AS "name!", count(*) AS "rows!" FROM added GROUP BY event_type ORDER BY min(id)
