-- Follows sweep.sql and writes nothing.
SELECT count(*) AS missing FROM missing
