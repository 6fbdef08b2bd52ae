-- A coalesced notification that was read is closed for good. With its key it could not be marked as
-- unread again once a newer one of the same key is unread: there is one of these at most.
CREATE OR REPLACE FUNCTION {home}.notify_fan_out_close_read()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO pg_catalog, pg_temp
AS $function$
BEGIN
    NEW.coalesce_key := NULL;
    RETURN NEW;
END
$function$
