-- The same rule as an application might have written it: in other words and in PL/pgSQL.
CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    granted text;
    document record;
BEGIN
    SELECT permission INTO granted
      FROM permissions WHERE user_id = p_user_id AND resource_id = p_resource_id;
    IF FOUND THEN
        RETURN granted IN ('view', 'edit');
    END IF;
    SELECT org_id, project_id INTO document FROM resources WHERE id = p_resource_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT 1 FROM org_members
                WHERE user_id = p_user_id AND org_id = document.org_id AND role = 'owner') THEN
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT 1 FROM project_access_grants
                    WHERE user_id = p_user_id AND project_id = document.project_id);
END
$$;
