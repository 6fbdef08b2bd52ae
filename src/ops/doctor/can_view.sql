-- Calls the application's rule as the job does, for whoever and whatever comes first: for many pairs
-- at once, and by itself, because the former answers without it where it knows what it says.
SELECT can_view(pair.user_id, pair.resource_id) AS answer
  FROM (SELECT coalesce((SELECT id FROM profiles LIMIT 1), '00000000-0000-0000-0000-000000000000') AS user_id,
               coalesce((SELECT id FROM resources LIMIT 1), '00000000-0000-0000-0000-000000000000') AS resource_id
       ) AS pair
  LEFT JOIN LATERAL can_view_many(ARRAY[pair.user_id], ARRAY[pair.resource_id]) AS seen ON true
