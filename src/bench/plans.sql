-- The server's log shows the plan of each statement as it was carried out, from the next
-- connection on.
ALTER DATABASE bench SET session_preload_libraries = 'auto_explain';
ALTER DATABASE bench SET auto_explain.log_min_duration = 0;
ALTER DATABASE bench SET auto_explain.log_analyze = on;
ALTER DATABASE bench SET auto_explain.log_buffers = on;
ALTER DATABASE bench SET auto_explain.log_triggers = on;
