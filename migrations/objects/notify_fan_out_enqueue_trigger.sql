CREATE TRIGGER notify_fan_out_enqueue AFTER INSERT ON {events} REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION {home}.notify_fan_out_enqueue()
