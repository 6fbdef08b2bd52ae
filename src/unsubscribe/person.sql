-- Whether there is such a person ($1). Waits for other transactions that unsubscribe the same person.
SELECT EXISTS (SELECT FROM profiles WHERE id = $1)
  FROM (SELECT pg_advisory_xact_lock(hashtextextended('notify-fan-out unsubscribe ' || $1::uuid, 0))
        OFFSET 0) AS mine
