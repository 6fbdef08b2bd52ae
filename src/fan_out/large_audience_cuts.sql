-- Where to cut the people of these projects, threads and meetings into parts of $4.
SELECT DISTINCT user_id AS "user_id!"
  FROM (SELECT user_id, row_number() OVER (PARTITION BY project_id ORDER BY user_id) AS place
          FROM project_access_grants WHERE project_id = ANY ($1)
        UNION ALL
        SELECT user_id, row_number() OVER (PARTITION BY thread_id ORDER BY user_id)
          FROM chat_thread_participants WHERE thread_id = ANY ($2)
        UNION ALL
        SELECT user_id, row_number() OVER (PARTITION BY meeting_id ORDER BY user_id)
          FROM meeting_participants WHERE meeting_id = ANY ($3)) AS people
 WHERE place % $4 = 0 AND user_id IS NOT NULL
 ORDER BY 1
