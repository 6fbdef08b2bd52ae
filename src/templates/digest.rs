//! Several queued mails as one: by project, in the order in which they were queued.

use uuid::Uuid;

use super::QueuedMail;

/// Entries that a digest names; the others it only counts.
const ENTRIES_MAX: usize = 100;

/// The e-mails that one person gets as one. Never empty.
#[derive(Debug, Clone)]
pub struct Digest<'a> {
    pub(super) groups: Vec<Group<'a>>,
    pub(super) count: usize,
    pub(super) projects: usize,
    /// The project that all of it happened in.
    pub(super) project: Option<&'a str>,
}

/// What happened in one project, or outside of any.
#[derive(Debug, Clone)]
pub(super) struct Group<'a> {
    project_id: Option<Uuid>,
    pub(super) project: Option<&'a str>,
    pub(super) mails: Vec<&'a QueuedMail>,
}

impl<'a> Digest<'a> {
    /// Groups one person's e-mails; `None` where there are none.
    pub fn new(mails: &'a [QueuedMail]) -> Option<Self> {
        let mut mails: Vec<_> = mails.iter().collect();
        mails.sort_by_key(|mail| mail.created_at);
        let count = mails.len();
        let mut groups: Vec<Group<'a>> = Vec::new();
        for mail in mails {
            let project = mail.project();
            match groups
                .iter_mut()
                .find(|group| group.is_of(mail.project_id, project))
            {
                Some(group) => {
                    group.project = group.project.or(project);
                    group.mails.push(mail);
                }
                None => groups.push(Group {
                    project_id: mail.project_id,
                    project,
                    mails: vec![mail],
                }),
            }
        }
        // What belongs to no project, or to one without a name, comes last.
        groups.sort_by_key(|group| {
            let name = group.project.map(str::to_lowercase);
            (name.is_none(), name)
        });
        let projects = groups.iter().filter(|group| group.is_project()).count();
        let project = match &groups[..] {
            [only] => only.project,
            _ => None,
        };
        let mut room = ENTRIES_MAX;
        for group in &mut groups {
            group.mails.truncate(room);
            room -= group.mails.len();
        }
        groups.retain(|group| !group.mails.is_empty());
        (count > 0).then_some(Self {
            groups,
            count,
            projects,
            project,
        })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// How many it does not name.
    pub(super) fn left_out(&self) -> usize {
        let shown = self.groups.iter().map(|group| group.mails.len());
        self.count - shown.sum::<usize>()
    }
}

impl Group<'_> {
    /// A project is recognised by its identifier; without one, by its name.
    fn is_of(&self, project_id: Option<Uuid>, project: Option<&str>) -> bool {
        self.project_id == project_id && (project_id.is_some() || self.project == project)
    }

    fn is_project(&self) -> bool {
        self.project_id.is_some() || self.project.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use serde_json::json;

    fn mail(minute: i64, project: Option<(u128, &str)>, subject: &str) -> QueuedMail {
        QueuedMail {
            event_type: "document_uploaded".to_owned(),
            subject: subject.to_owned(),
            body_data: json!({}),
            project_id: project.map(|(id, _)| Uuid::from_u128(id)),
            project_name: project.map(|(_, name)| name.to_owned()),
            created_at: DateTime::from_timestamp(minute * 60, 0).unwrap(),
        }
    }

    #[test]
    fn nothing_is_no_digest() {
        assert!(Digest::new(&[]).is_none());
    }

    #[test]
    fn by_project_in_order() {
        let quay = Some((1, "Quayside"));
        let mails = [
            mail(5, quay, "third"),
            mail(1, None, "outside"),
            mail(2, Some((2, "Atlas")), "first"),
            mail(3, quay, "second"),
            mail(4, Some((3, "quayside")), "namesake"),
            mail(6, Some((2, " ")), "nameless"),
        ];
        let digest = Digest::new(&mails).expect("a digest");
        let groups = digest.groups.iter().map(|group| {
            let subjects: Vec<_> = group.mails.iter().map(|mail| &*mail.subject).collect();
            format!("{:?}: {}", group.project, subjects.join(", "))
        });
        insta::assert_snapshot!(groups.collect::<Vec<_>>().join("\n"), @r#"
        Some("Atlas"): first, nameless
        Some("Quayside"): second, third
        Some("quayside"): namesake
        None: outside
        "#);
        assert_eq!((digest.count, digest.projects), (6, 3));
    }

    #[test]
    fn a_long_one_is_cut() {
        let mails = (0..250).map(|minute| {
            let project = (minute >= 90).then_some((1, "Atlas"));
            mail(minute, project, "subject")
        });
        let mails: Vec<_> = mails.collect();
        let digest = Digest::new(&mails).expect("a digest");
        assert_eq!((digest.count, digest.left_out()), (250, 150));
    }
}
