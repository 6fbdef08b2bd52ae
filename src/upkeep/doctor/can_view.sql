-- Calls the application's rule as the job does, for whoever and whatever comes first.
SELECT can_view(
           coalesce((SELECT id FROM profiles LIMIT 1), '00000000-0000-0000-0000-000000000000'),
           coalesce((SELECT id FROM resources LIMIT 1), '00000000-0000-0000-0000-000000000000')) AS answer
