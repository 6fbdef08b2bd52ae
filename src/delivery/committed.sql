-- Whether a transaction whose COMMIT was not answered was committed: a delivery of $1 is leased under
-- its token of $2, or one of $3 is recorded under its token of $4. The row locks wait for a server
-- that is still committing.
WITH seen AS MATERIALIZED (
    SELECT id, lease_token, status
      FROM notification_deliveries
     WHERE id = ANY ($1::bigint[] || $3::bigint[])
     ORDER BY id
       FOR UPDATE
)
SELECT EXISTS (SELECT FROM seen
                 JOIN unnest($1, $2::bigint[]) AS leased (id, token) USING (id)
                WHERE seen.lease_token = leased.token)
    OR EXISTS (SELECT FROM seen
                 JOIN unnest($3, $4::bigint[]) AS recorded (id, token) USING (id)
                WHERE seen.lease_token = recorded.token AND seen.status <> 'sending') AS "committed!"
