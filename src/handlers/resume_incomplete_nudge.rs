//! A resume was left incomplete: an owner of the project is nudged, once per tier until the application
//! deletes the notification.

use serde_json::Number;

use super::prelude::*;
use super::sample::{ADA, CHIARA, QUAYSIDE};

/// Longest tier, in bytes: it is part of an indexed key.
const TIER_MAX: usize = 100;

payload! {
    pub(super) struct ResumeIncompleteNudge {
        project_id: Uuid = |fields| fields.column("project_id", fields.row.project_id),
        project: Entity,
        user_id: Uuid,
        resume_type: ResumeType,
        completion_percent: Percent,
        nudge_tier: Tier,
    }
}

/// Whose resume it is, and its name as e-mails show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResumeType(&'static str, &'static str);

impl FromPayload for ResumeType {
    const TYPE: &'static str = "project or borrower";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        match value.as_str()? {
            "project" => Some(Self("project", "Project")),
            "borrower" => Some(Self("borrower", "Borrower")),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Percent(Number);

impl FromPayload for Percent {
    const TYPE: &'static str = "a number from 0 to 100";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let percent = value.as_f64()?;
        let number = value.as_number()?.clone();
        (0.0..=100.0).contains(&percent).then_some(Self(number))
    }
}

/// A tier, and how the dedup key writes it: `1` for 1 and 1.0.
#[derive(Debug)]
pub(super) struct Tier(Value, String);

impl FromPayload for Tier {
    const TYPE: &'static str = "a whole number or a short text";

    fn read(value: &Value, _: Fields<'_>) -> Option<Self> {
        let key = match value {
            Value::Number(number) => {
                let number = number.as_f64()?;
                let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
                is_whole.then(|| format!("{number:.0}"))?
            }
            Value::String(text) => text.trim().to_owned(),
            _ => return None,
        };
        let fits = (1..=TIER_MAX).contains(&key.len());
        fits.then(|| Self(value.clone(), key))
    }
}

impl Event for ResumeIncompleteNudge {
    const MAIL: Option<MailTemplates> = Some(templates!(
        "resume_incomplete_nudge",
        "resume_type",
        "completion_percent"
    ));
    const ONCE_KEYS: Option<&'static str> = Some(include_str!("resume_incomplete_nudge.sql"));

    fn samples() -> Vec<EventRow> {
        let nudge = |user_id, resume_type, percent| {
            let payload = json!({
                "user_id": user_id,
                "resume_type": resume_type,
                "completion_percent": percent,
                "nudge_tier": 1,
            });
            sample::event([QUAYSIDE], payload)
        };
        vec![
            // Ada owns the project's organisation.
            nudge(ADA, "borrower", 40),
            // Chiara does not, and is skipped.
            nudge(CHIARA, "project", 45),
        ]
    }

    fn plan(&self, names: &Names) -> Vec<Plan> {
        let [project] = names.of([&self.project]);
        let Percent(completion) = &self.completion_percent;
        let Tier(tier, tier_key) = &self.nudge_tier;
        let ResumeType(resume, label) = self.resume_type;
        let project_id = self.project_id;
        // Rounded down: only what is complete is called complete.
        let percent = completion.as_f64().unwrap_or_default().floor();
        let draft = Draft::new(
            names,
            names.links().project(project_id),
            object! {
                "type": "resume_incomplete_nudge",
                "project_id": project.id,
                "project_name": project.name,
                "user_id": self.user_id,
                "resume_type": resume,
                "resume_type_label": label,
                "completion_percent": completion,
                "nudge_tier": tier,
            },
            |style| {
                let place = style.name(project.label);
                format!("Your {resume} resume for {place} is {percent}% complete")
            },
        )
        .and((percent < 100.0).then(|| "Pick up where you left off.".to_owned()));
        let audience = Audience::ProjectOwner {
            user_id: self.user_id,
            project_id,
        };
        let once_key = format!("resume_incomplete_nudge:{project_id}:{resume}:{tier_key}");
        vec![Plan {
            email: Some(draft.email(EmailTiming::Immediate, project)),
            once_key: Some(once_key),
            once_ends_with_notification: true,
            ..draft.plan(audience, self.project.scopes())
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::super::EventType::ResumeIncompleteNudge as IT;
    use super::super::fixture::{planned_with, titles};
    use super::json;

    #[test]
    fn equal_tiers_have_equal_keys() {
        for (tier, key) in [
            (json!(1.0), "borrower:1,"),
            (json!(" 1 "), "borrower:1,"),
            (json!("final"), "borrower:final,"),
        ] {
            let planned = planned_with(IT, json!({"nudge_tier": tier}));
            let key = format!("once resume_incomplete_nudge:QUAYSIDE:{key}");
            assert!(planned.contains(&key), "{planned}");
        }
        for tier in [
            json!(1.5),
            json!(1e15),
            json!(""),
            json!("x".repeat(101)),
            json!(true),
        ] {
            let problem = titles(IT, [json!({"nudge_tier": tier})]);
            assert!(problem.ends_with("nudge_tier must be a whole number or a short text"));
        }
    }

    #[test]
    fn only_what_is_complete_is_called_complete() {
        for (percent, expected) in [
            (json!(0), "0% complete. Pick up"),
            (json!(99.9), "99% complete. Pick up where you left off."),
            (json!(100), "100% complete.\n"),
            (
                json!(100.1),
                "completion_percent must be a number from 0 to 100",
            ),
            (
                json!(-1),
                "completion_percent must be a number from 0 to 100",
            ),
        ] {
            let planned = planned_with(IT, json!({"completion_percent": percent}));
            assert!(planned.contains(expected), "{expected}: {planned}");
        }
        let problem = titles(IT, [json!({"resume_type": "Borrower"})]);
        assert!(problem.ends_with("resume_type must be project or borrower"));
    }
}
