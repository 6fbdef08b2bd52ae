//! Paths within the application, each made from a template that the environment may replace.

use uuid::Uuid;

/// What a notification leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Project,
    Document,
    DocumentWithoutProject,
    Thread,
    ThreadWithoutProject,
    Meetings,
    MeetingsWithoutProject,
    Dashboard,
    Team,
}

/// The variable of each, its default, and the placeholders that it may have.
const TEMPLATES: [(&str, &str, &[&str]); 9] = [
    (
        "NOTIFY_LINK_PROJECT",
        "/project/workspace/{project}",
        &["{project}"],
    ),
    (
        "NOTIFY_LINK_DOCUMENT",
        "/project/workspace/{project}?resourceId={resource}",
        &["{project}", "{resource}"],
    ),
    (
        "NOTIFY_LINK_DOCUMENT_WITHOUT_PROJECT",
        "/dashboard",
        &["{resource}"],
    ),
    (
        "NOTIFY_LINK_THREAD",
        "/project/workspace/{project}?tab=chat&thread={thread}",
        &["{project}", "{thread}"],
    ),
    (
        "NOTIFY_LINK_THREAD_WITHOUT_PROJECT",
        "/dashboard?tab=chat&thread={thread}",
        &["{thread}"],
    ),
    (
        "NOTIFY_LINK_MEETINGS",
        "/project/workspace/{project}?tab=meetings",
        &["{project}", "{meeting}"],
    ),
    (
        "NOTIFY_LINK_MEETINGS_WITHOUT_PROJECT",
        "/dashboard?tab=meetings",
        &["{meeting}"],
    ),
    ("NOTIFY_LINK_DASHBOARD", "/dashboard", &[]),
    ("NOTIFY_LINK_TEAM", "/team", &["{org}"]),
];

/// The template of each link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links([String; TEMPLATES.len()]);

impl Default for Links {
    fn default() -> Self {
        Self(TEMPLATES.map(|(_, default, _)| default.to_owned()))
    }
}

impl Links {
    /// Reads the templates that are given. An error has the variable, and what is wrong with it.
    pub fn read(
        given: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, (&'static str, String)> {
        let mut links = Self::default();
        for (link, (variable, _, placeholders)) in links.0.iter_mut().zip(TEMPLATES) {
            if let Some(template) = given(variable) {
                template.trim().clone_into(link);
                check(link, placeholders).map_err(|problem| (variable, problem))?;
            }
        }
        Ok(links)
    }

    /// A project's workspace.
    pub(super) fn project(&self, project: Uuid) -> String {
        self.fill(Link::Project, &[("{project}", project)])
    }

    /// A document; without one its project, and without that the reader's own start page.
    pub(super) fn document(&self, project: Option<Uuid>, resource: Option<Uuid>) -> String {
        let Some(resource) = resource else {
            return project.map_or_else(|| self.dashboard(), |project| self.project(project));
        };
        let links = [Link::Document, Link::DocumentWithoutProject];
        self.fill_in(project, links, ("{resource}", resource))
    }

    /// A chat thread.
    pub(super) fn thread(&self, project: Option<Uuid>, thread: Uuid) -> String {
        let links = [Link::Thread, Link::ThreadWithoutProject];
        self.fill_in(project, links, ("{thread}", thread))
    }

    /// Where meetings are shown.
    pub(super) fn meetings(&self, project: Option<Uuid>, meeting: Uuid) -> String {
        let links = [Link::Meetings, Link::MeetingsWithoutProject];
        self.fill_in(project, links, ("{meeting}", meeting))
    }

    /// The reader's own start page.
    pub(super) fn dashboard(&self) -> String {
        self.fill(Link::Dashboard, &[])
    }

    /// The people of the reader's organisation.
    pub(super) fn team(&self, org: Uuid) -> String {
        self.fill(Link::Team, &[("{org}", org)])
    }

    fn fill_in(
        &self,
        project: Option<Uuid>,
        [within, without]: [Link; 2],
        value: (&str, Uuid),
    ) -> String {
        match project {
            Some(project) => self.fill(within, &[("{project}", project), value]),
            None => self.fill(without, &[value]),
        }
    }

    /// Identifiers need no encoding.
    fn fill(&self, link: Link, values: &[(&str, Uuid)]) -> String {
        let template = self.0[link as usize].clone();
        values.iter().fold(template, |path, (placeholder, id)| {
            path.replace(placeholder, &id.to_string())
        })
    }
}

fn check(template: &str, placeholders: &[&str]) -> Result<(), String> {
    let is_path = template.starts_with('/') && !template.starts_with("//");
    if !is_path || template.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("must be a path of the application, such as /projects/{project}".to_owned());
    }
    let fixed = placeholders
        .iter()
        .fold(template.to_owned(), |path, name| path.replace(name, ""));
    if fixed.contains(['{', '}']) {
        let known = match placeholders {
            [] => "no placeholder".to_owned(),
            names => names.join(" and "),
        };
        return Err(format!("it may have {known}, and no other braces"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variable: &str, template: &str) -> Result<Links, String> {
        Links::read(|name| (name == variable).then(|| template.to_owned()))
            .map_err(|(variable, problem)| format!("{variable}: {problem}"))
    }

    #[test]
    fn templates_are_filled_in() {
        let id = Uuid::nil();
        let links = read(
            "NOTIFY_LINK_THREAD",
            " /p/{project}/chat/{thread}?p={project} ",
        )
        .unwrap();
        let thread = links.thread(Some(id), id);
        assert_eq!(thread, format!("/p/{id}/chat/{id}?p={id}"));
        assert_eq!(
            links.thread(None, id),
            format!("/dashboard?tab=chat&thread={id}")
        );
        let links = read("NOTIFY_LINK_TEAM", "/people").unwrap();
        assert_eq!(
            [links.team(id), links.dashboard()],
            ["/people", "/dashboard"]
        );
    }

    #[test]
    fn defaults_are_templates() {
        for (variable, default, _) in TEMPLATES {
            assert_eq!(read(variable, default), Ok(Links::default()));
        }
    }

    #[test]
    fn wrong_templates_are_refused_by_name() {
        let problem = |variable, template| read(variable, template).unwrap_err();
        for template in [
            "projects",
            "//evil.example",
            "https://evil.example",
            "/a b",
            "/\\evil",
        ] {
            assert_eq!(
                problem("NOTIFY_LINK_PROJECT", template),
                "NOTIFY_LINK_PROJECT: must be a path of the application, such as /projects/{project}"
            );
        }
        insta::assert_snapshot!(problem("NOTIFY_LINK_THREAD", "/chat/{topic}"), @"NOTIFY_LINK_THREAD: it may have {project} and {thread}, and no other braces");
        insta::assert_snapshot!(problem("NOTIFY_LINK_TEAM", "/team/{org"), @"NOTIFY_LINK_TEAM: it may have {org}, and no other braces");
        insta::assert_snapshot!(problem("NOTIFY_LINK_DASHBOARD", "/{project}"), @"NOTIFY_LINK_DASHBOARD: it may have no placeholder, and no other braces");
    }
}
