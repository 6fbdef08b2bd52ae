-- The names that the plans of a batch mention, in one round trip.
SELECT 'person' AS "entity!: Entity", id AS "id!", full_name AS name, email, NULL::timestamptz AS start_time
  FROM profiles WHERE id = ANY ($1)
UNION ALL SELECT 'project', id, name, NULL, NULL FROM projects WHERE id = ANY ($2)
UNION ALL SELECT 'org', id, name, NULL, NULL FROM orgs WHERE id = ANY ($3)
UNION ALL SELECT 'resource', id, name, NULL, NULL FROM resources WHERE id = ANY ($4)
UNION ALL SELECT 'thread', id, topic, NULL, NULL FROM chat_threads WHERE id = ANY ($5)
UNION ALL SELECT 'meeting', id, title, NULL,
       CASE WHEN start_time BETWEEN '0001-01-01' AND '9999-12-31' THEN start_time END FROM meetings WHERE id = ANY ($6)
