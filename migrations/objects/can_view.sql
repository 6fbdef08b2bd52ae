-- Who may view a document. The application's own rule wins; this one is: a permission row decides,
-- and without one the owners of the document's organisation and those with a grant on its project may.
CREATE OR REPLACE FUNCTION {home}.can_view(p_user_id uuid, p_resource_id uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO {path}
AS $function$
SELECT coalesce(
    (SELECT permission <> 'none'
       FROM permissions
      WHERE resource_id = p_resource_id AND user_id = p_user_id),
    EXISTS (
        SELECT FROM resources r
         WHERE r.id = p_resource_id
           AND (EXISTS (
                   SELECT FROM org_members m
                    WHERE m.org_id = r.org_id AND m.user_id = p_user_id
                      AND m.role = 'owner')
                OR EXISTS (
                   SELECT FROM project_access_grants g
                    WHERE g.project_id = r.project_id AND g.user_id = p_user_id))))
$function$
