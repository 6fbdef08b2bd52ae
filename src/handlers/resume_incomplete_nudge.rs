//! A resume was left incomplete: an owner of the project is nudged, once per tier, ever.
//!
//! Optional key: `project_name`.

use serde_json::{Number, Value};
use uuid::Uuid;

use super::draft::{Draft, object};
use super::entity::Entity;
use super::{Handler, Lookups, Names};
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::plan::{Audience, EmailTiming, Plan};

/// Longest tier, in bytes: it is part of an indexed key.
const TIER_MAX: usize = 100;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct ResumeIncompleteNudge {
    project_id: Uuid,
    project: Entity,
    user_id: Uuid,
    resume_type: ResumeType,
    completion_percent: Number,
    nudge_tier: Value,
}

/// Whose resume it is.
#[derive(Debug, Clone, Copy)]
enum ResumeType {
    Project,
    Borrower,
}

impl ResumeType {
    fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Borrower => "borrower",
        }
    }

    /// Its name as mails show it.
    fn label(self) -> &'static str {
        match self {
            Self::Project => "Project",
            Self::Borrower => "Borrower",
        }
    }
}

impl ResumeIncompleteNudge {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        let project_id = fields.column("project_id", fields.row.project_id)?;
        Ok(Self {
            project_id,
            project: Entity::project(fields, Some(project_id)),
            user_id: fields.required_uuid("user_id")?,
            resume_type: fields.required("resume_type", "project or borrower", resume_type)?,
            completion_percent: fields.required(
                "completion_percent",
                "a number from 0 to 100",
                percent,
            )?,
            nudge_tier: fields.required(
                "nudge_tier",
                "a whole number or a short text",
                |value| tier(value).map(|_| value.clone()),
            )?,
        })
    }

    fn once_key(&self) -> Option<String> {
        let (project, resume) = (self.project_id, self.resume_type.name());
        let tier = tier(&self.nudge_tier)?;
        Some(format!("resume_incomplete_nudge:{project}:{resume}:{tier}"))
    }
}

fn resume_type(value: &Value) -> Option<ResumeType> {
    let known = [ResumeType::Project, ResumeType::Borrower];
    known.into_iter().find(|known| value == known.name())
}

fn percent(value: &Value) -> Option<Number> {
    let in_range = value
        .as_f64()
        .is_some_and(|percent| (0.0..=100.0).contains(&percent));
    value.as_number().filter(|_| in_range).cloned()
}

fn whole(number: f64) -> Option<String> {
    (number.fract() == 0.0 && number.abs() < 1e15).then(|| format!("{number:.0}"))
}

fn tier(value: &Value) -> Option<String> {
    let tier = match value {
        Value::Number(number) => whole(number.as_f64()?)?,
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    (1..=TIER_MAX).contains(&tier.len()).then_some(tier)
}

impl Handler for ResumeIncompleteNudge {
    fn lookups(&self, lookups: &mut Lookups) {
        lookups.extend([&self.project]);
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [project] = names.of([&self.project]);
        let resume = self.resume_type.name();
        // Rounded down: only what is complete is called complete.
        let percent = self.completion_percent.as_f64().unwrap_or_default().floor();
        let draft = Draft::new(
            names.body_format(),
            names.links().project(self.project_id),
            object! {
                "type": "resume_incomplete_nudge",
                "project_id": project.id,
                "project_name": project.name,
                "user_id": self.user_id,
                "resume_type": resume,
                "resume_type_label": self.resume_type.label(),
                "completion_percent": self.completion_percent,
                "nudge_tier": self.nudge_tier,
            },
            |style| {
                let place = style.name(project.words);
                format!("Your {resume} resume for {place} is {percent}% complete")
            },
        )
        .and((percent < 100.0).then(|| "Pick up where you left off.".to_owned()));
        vec![Plan {
            audience: Audience::ProjectOwner {
                user_id: self.user_id,
                project_id: self.project_id,
            },
            actor_id: None,
            scopes: project.scopes(),
            in_app: draft.in_app(),
            email: Some(draft.email(EmailTiming::Immediate, project)),
            once_key: self.once_key(),
        }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::EventType;
    use super::super::testing::{ATLAS, BO, HOSTILE, planned, planned_without_columns};
    use super::tier;

    const IT: EventType = EventType::ResumeIncompleteNudge;

    #[test]
    fn told_in_both_ways_and_once() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": BO,
            "resume_type": "project",
            "completion_percent": 40,
            "nudge_tier": 1,
        })), @r#"
        to ProjectOwner { user_id: BO, project_id: ATLAS }, project ATLAS, once resume_incomplete_nudge:ATLAS:project:1
          app each: Your project resume for Atlas is 40% complete
            Your project resume for **Atlas** is 40% complete. Pick up where you left off.
            /project/workspace/ATLAS
            {completion_percent: 40, nudge_tier: 1, project_id: "ATLAS", project_name: "Atlas", resume_type: "project", resume_type_label: "Project", type: "resume_incomplete_nudge", user_id: "BO"}
          mail Immediate: Your project resume for Atlas is 40% complete (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn nothing_is_complete_yet() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": BO,
            "resume_type": "borrower",
            "completion_percent": 0,
            "nudge_tier": " second ",
            "project_name": HOSTILE,
        })), @r#"
        to ProjectOwner { user_id: BO, project_id: ATLAS }, project ATLAS, once resume_incomplete_nudge:ATLAS:borrower:second
          app each: Your borrower resume for [Win](https://evil.example) <img src=x> @all **now** `` # ! is 0% complete
            Your borrower resume for **[Win](https://evil.example) <img src=x> @all now `` # !** is 0% complete. Pick up where you left off.
            /project/workspace/ATLAS
            {completion_percent: 0, nudge_tier: " second ", project_id: "ATLAS", project_name: "HOSTILE", resume_type: "borrower", resume_type_label: "Borrower", type: "resume_incomplete_nudge", user_id: "BO"}
          mail Immediate: Your borrower resume for [Win](https://evil.example) <img src=x> @all **now** `` # ! is 0% complete (ATLAS HOSTILE)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn almost_is_not_complete() {
        insta::assert_snapshot!(planned(IT, json!({
            "user_id": BO,
            "resume_type": "project",
            "completion_percent": 99.9,
            "nudge_tier": "3",
        })), @r#"
        to ProjectOwner { user_id: BO, project_id: ATLAS }, project ATLAS, once resume_incomplete_nudge:ATLAS:project:3
          app each: Your project resume for Atlas is 99% complete
            Your project resume for **Atlas** is 99% complete. Pick up where you left off.
            /project/workspace/ATLAS
            {completion_percent: 99.9, nudge_tier: "3", project_id: "ATLAS", project_name: "Atlas", resume_type: "project", resume_type_label: "Project", type: "resume_incomplete_nudge", user_id: "BO"}
          mail Immediate: Your project resume for Atlas is 99% complete (ATLAS Atlas)
            {link_url: "/project/workspace/ATLAS"}
        "#);
    }

    #[test]
    fn required_keys() {
        let with = |key: &str, value: Value| {
            let mut payload = json!({
                "user_id": BO,
                "resume_type": "project",
                "completion_percent": 100,
                "nudge_tier": 1,
            });
            payload[key] = value;
            planned(IT, payload)
        };
        let errors = [
            planned_without_columns(IT, json!({"project_id": ATLAS})),
            with("user_id", json!(null)),
            with("user_id", json!("bo")),
            with("resume_type", json!(null)),
            with("resume_type", json!("Project")),
            with("completion_percent", json!(null)),
            with("completion_percent", json!("40")),
            with("completion_percent", json!(-1)),
            with("completion_percent", json!(100.5)),
            with("nudge_tier", json!(null)),
            with("nudge_tier", json!(1.5)),
            with("nudge_tier", json!(" ")),
            with("nudge_tier", json!("x".repeat(101))),
        ];
        insta::assert_snapshot!(errors.join("\n"), @"
        invalid resume_incomplete_nudge event: project_id is required
        invalid resume_incomplete_nudge event: payload.user_id is required
        invalid resume_incomplete_nudge event: payload.user_id must be a UUID
        invalid resume_incomplete_nudge event: payload.resume_type is required
        invalid resume_incomplete_nudge event: payload.resume_type must be project or borrower
        invalid resume_incomplete_nudge event: payload.completion_percent is required
        invalid resume_incomplete_nudge event: payload.completion_percent must be a number from 0 to 100
        invalid resume_incomplete_nudge event: payload.completion_percent must be a number from 0 to 100
        invalid resume_incomplete_nudge event: payload.completion_percent must be a number from 0 to 100
        invalid resume_incomplete_nudge event: payload.nudge_tier is required
        invalid resume_incomplete_nudge event: payload.nudge_tier must be a whole number or a short text
        invalid resume_incomplete_nudge event: payload.nudge_tier must be a whole number or a short text
        invalid resume_incomplete_nudge event: payload.nudge_tier must be a whole number or a short text
        ");
    }

    #[test]
    fn one_key_for_a_tier_however_it_is_written() {
        let keys = [json!(2), json!(2.0), json!("2"), json!(" 2\n")].map(|value| tier(&value));
        assert!(
            keys.iter().all(|key| key.as_deref() == Some("2")),
            "{keys:?}"
        );
    }
}
