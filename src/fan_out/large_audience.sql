-- Which of these projects, threads and meetings have more than $4 people. The look-up ends there.
SELECT 'project' AS "group!: Group", asked.id AS "id!" FROM unnest($1::uuid[]) AS asked (id)
 WHERE (SELECT true FROM project_access_grants g WHERE g.project_id = asked.id LIMIT 1 OFFSET $4)
UNION ALL
SELECT 'thread', asked.id FROM unnest($2::uuid[]) AS asked (id)
 WHERE (SELECT true FROM chat_thread_participants t WHERE t.thread_id = asked.id LIMIT 1 OFFSET $4)
UNION ALL
SELECT 'meeting', asked.id FROM unnest($3::uuid[]) AS asked (id)
 WHERE (SELECT true FROM meeting_participants m WHERE m.meeting_id = asked.id LIMIT 1 OFFSET $4)
