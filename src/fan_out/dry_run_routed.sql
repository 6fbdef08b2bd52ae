-- Follows routed.sql and writes nothing: each decision.
SELECT announcement_no, channel, recipient, name, outcome, dedup_keys
  FROM routed
 ORDER BY announcement_no, channel, name, recipient
