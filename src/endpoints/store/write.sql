-- Settings ($2) in the place of those that endpoints ($1) had.
UPDATE notification_endpoints AS e
   SET settings = new.settings, updated_at = now()
  FROM unnest($1::uuid[], $2::text[]) AS new (id, settings)
 WHERE e.id = new.id
