//! Paths within the application, each made from a template that the environment may replace.

use uuid::Uuid;

/// The template of each path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    pub project: String,
    pub document: String,
    pub document_without_project: String,
    pub thread: String,
    pub thread_without_project: String,
    pub meetings: String,
    pub meetings_without_project: String,
    /// The reader's own start page.
    pub dashboard: String,
    /// The people of the reader's organisation.
    pub team: String,
}

impl Default for Links {
    fn default() -> Self {
        let path = str::to_owned;
        Self {
            project: path("/project/workspace/{project}"),
            document: path("/project/workspace/{project}?resourceId={resource}"),
            document_without_project: path("/dashboard"),
            thread: path("/project/workspace/{project}?tab=chat&thread={thread}"),
            thread_without_project: path("/dashboard?tab=chat&thread={thread}"),
            meetings: path("/project/workspace/{project}?tab=meetings"),
            meetings_without_project: path("/dashboard?tab=meetings"),
            dashboard: path("/dashboard"),
            team: path("/team"),
        }
    }
}

impl Links {
    /// Checks a template that may have these placeholders; an error says what is wrong with it.
    pub fn check(template: &str, placeholders: &[&str]) -> Result<(), String> {
        let is_path = template.starts_with('/') && !template.starts_with("//");
        if !is_path || template.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\')
        {
            return Err(
                "must be a path of the application, such as /projects/{project}".to_owned(),
            );
        }
        let mut fixed = template.to_owned();
        for placeholder in placeholders {
            fixed = fixed.replace(placeholder, "");
        }
        if fixed.contains(['{', '}']) {
            let known = match placeholders {
                [] => "no placeholder".to_owned(),
                names => names.join(" and "),
            };
            return Err(format!("it may have {known}, and no other braces"));
        }
        Ok(())
    }

    pub(super) fn project(&self, project: Uuid) -> String {
        fill(&self.project, [("{project}", Some(project))])
    }

    /// A document; without one its project, and without that the reader's own start page.
    pub(super) fn document(&self, project: Option<Uuid>, resource: Option<Uuid>) -> String {
        let template = match (project, resource) {
            (Some(_), Some(_)) => &self.document,
            (None, Some(_)) => &self.document_without_project,
            (Some(_), None) => &self.project,
            (None, None) => &self.dashboard,
        };
        fill(template, [("{project}", project), ("{resource}", resource)])
    }

    pub(super) fn thread(&self, project: Option<Uuid>, thread: Uuid) -> String {
        let template = match project {
            Some(_) => &self.thread,
            None => &self.thread_without_project,
        };
        fill(
            template,
            [("{project}", project), ("{thread}", Some(thread))],
        )
    }

    pub(super) fn meetings(&self, project: Option<Uuid>, meeting: Uuid) -> String {
        let template = match project {
            Some(_) => &self.meetings,
            None => &self.meetings_without_project,
        };
        fill(
            template,
            [("{project}", project), ("{meeting}", Some(meeting))],
        )
    }

    pub(super) fn team(&self, org: Uuid) -> String {
        fill(&self.team, [("{org}", Some(org))])
    }
}

/// Identifiers need no encoding.
fn fill<const N: usize>(template: &str, values: [(&str, Option<Uuid>); N]) -> String {
    let mut path = template.to_owned();
    for (placeholder, id) in values {
        if let Some(id) = id {
            path = path.replace(placeholder, &id.to_string());
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let id = Uuid::nil();
        let links = Links {
            thread: "/p/{project}/chat/{thread}?p={project}".to_owned(),
            meetings: "/m/{meeting}".to_owned(),
            team: "/{org}".to_owned(),
            ..Links::default()
        };
        let paths = [
            links.thread(Some(id), id),
            links.thread(None, id),
            links.meetings(Some(id), id),
            links.team(id),
        ];
        insta::assert_snapshot!(paths.join("\n").replace(&id.to_string(), "ID"), @"
        /p/ID/chat/ID?p=ID
        /dashboard?tab=chat&thread=ID
        /m/ID
        /ID
        ");
    }

    #[test]
    fn wrong_templates_are_refused() {
        for template in [
            "projects",
            "//evil.example",
            "https://evil.example",
            "/a b",
            "/\\evil",
        ] {
            let problem = Links::check(template, &[]);
            let expected = "must be a path of the application, such as /projects/{project}";
            assert_eq!(problem, Err(expected.to_owned()), "{template}");
        }
        let problem = |template, placeholders: &[_]| {
            Links::check(template, placeholders).expect_err("a wrong template")
        };
        let thread = ["{project}", "{thread}"];
        insta::assert_snapshot!(problem("/chat/{topic}", &thread), @"it may have {project} and {thread}, and no other braces");
        insta::assert_snapshot!(problem("/team/{org", &["{org}"]), @"it may have {org}, and no other braces");
        insta::assert_snapshot!(problem("/{project}", &[]), @"it may have no placeholder, and no other braces");
        assert_eq!(Links::check("/chat/{thread}", &thread), Ok(()));
    }
}
