-- The events that name a nudge, and the dedup keys that the handler gives them.
SELECT e.id, concat_ws(':', 'resume_incomplete_nudge', e.project_id, e.payload ->> 'resume_type', t.tier)
  FROM domain_events e
 CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(e.payload -> 'nudge_tier')
           WHEN 'string' THEN btrim(e.payload ->> 'nudge_tier', E' \t\n\v\f\r')
           WHEN 'number' THEN trim_scale((e.payload ->> 'nudge_tier')::numeric)::text
       END) AS t (tier)
 WHERE e.event_type::text = 'resume_incomplete_nudge' AND e.project_id IS NOT NULL
   AND e.payload ->> 'resume_type' IN ('project', 'borrower')
   -- What is longer, the handler refuses.
   AND octet_length(t.tier) BETWEEN 1 AND 100
