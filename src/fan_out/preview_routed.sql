-- Follows routed.sql and writes nothing: each decision.
SELECT announcement_no, channel, recipient, name, outcome, guards
  FROM hearer
 ORDER BY announcement_no, channel, name, recipient
