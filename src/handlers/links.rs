//! Paths within the application.

use uuid::Uuid;

/// A project's workspace.
pub(super) fn workspace(project_id: Uuid) -> String {
    format!("/project/workspace/{project_id}")
}

/// A document in its project's workspace.
pub(super) fn document(project_id: Uuid, resource_id: Option<Uuid>) -> String {
    match resource_id {
        Some(resource_id) => format!("{}?resourceId={resource_id}", workspace(project_id)),
        None => workspace(project_id),
    }
}

/// A chat thread; without a known project, the dashboard's chat.
pub(super) fn thread(project_id: Option<Uuid>, thread_id: Uuid) -> String {
    match project_id {
        Some(project_id) => format!("{}?tab=chat&thread={thread_id}", workspace(project_id)),
        None => format!("/dashboard?tab=chat&thread={thread_id}"),
    }
}

/// The meetings of a project; without one, the dashboard's.
pub(super) fn meetings(project_id: Option<Uuid>) -> String {
    match project_id {
        Some(project_id) => format!("{}?tab=meetings", workspace(project_id)),
        None => "/dashboard?tab=meetings".to_owned(),
    }
}

/// The reader's own start page.
pub(super) fn dashboard() -> String {
    "/dashboard".to_owned()
}

/// The people of the reader's organisation.
pub(super) fn team() -> String {
    "/team".to_owned()
}
