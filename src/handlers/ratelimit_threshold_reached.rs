//! A rate limit is about to be reached, or is.
//!
//! Optional keys: `threshold_percent`, and those of an [`OperatorContext`].

use super::Names;
use super::draft::object;
use super::operator::{OperatorContext, OperatorEvent};
use super::operator_message::OperatorMessage;
use crate::domain::announcement::Severity;
use crate::domain::event::InvalidEvent;
use crate::domain::payload::Fields;
use crate::domain::quantity::Quantity;

/// The event as it was committed.
#[derive(Debug)]
pub(super) struct RatelimitThresholdReached {
    context: OperatorContext,
    usage: Quantity,
    limit: Quantity,
    threshold_percent: Option<Quantity>,
}

impl RatelimitThresholdReached {
    pub(super) fn decode(fields: Fields<'_>) -> Result<Self, InvalidEvent> {
        Ok(Self {
            context: OperatorContext::decode(fields),
            usage: fields.required_quantity("usage")?,
            limit: fields.required_quantity("limit")?,
            threshold_percent: fields.quantity("threshold_percent"),
        })
    }
}

impl OperatorEvent for RatelimitThresholdReached {
    fn context(&self) -> &OperatorContext {
        &self.context
    }

    fn message(&self, names: &Names) -> OperatorMessage {
        let (usage, limit) = (self.usage.value(), self.limit.value());
        let threshold = self.threshold_percent.as_ref();
        let data = object! {
            "usage": self.usage.number(),
            "limit": self.limit.number(),
            "threshold_percent": threshold.map(Quantity::number),
        };
        let severity = if usage < limit {
            Severity::Warning
        } else {
            Severity::Critical
        };
        OperatorMessage::new(names.body_format(), severity, data, |style| {
            let [used, most] = [&self.usage, &self.limit].map(|it| style.name(&it.to_string()));
            // Rounded down: only a limit that is reached is called so.
            let percent = (limit > 0.0).then(|| (usage * 100.0 / limit).floor());
            let percent = percent.map_or_else(String::new, |percent| format!(" ({percent}%)"));
            format!("The rate limit is used up to {used} of {most}{percent}")
        })
        .with(
            "Threshold",
            threshold.map(|percent| format!("{percent}%")).as_deref(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::EventType;
    use super::super::testing::{planned, planned_without_columns};

    const IT: EventType = EventType::RatelimitThresholdReached;

    #[test]
    fn about_to_be_reached() {
        insta::assert_snapshot!(planned(IT, json!({
            "usage": 9_999,
            "limit": "10000",
            "threshold_percent": 80,
        })), @r#"
        to OrgOwners { org_id: ACME, except: None }, project ATLAS
          app each: The rate limit is used up to 9999 of 10000 (99%)
            The rate limit is used up to **9999** of **10000** (99%).

        Threshold: 80%
        Organisation: Acme
        Project: Atlas
            /project/workspace/ATLAS
            {limit: 10000, org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", severity: "warning", threshold_percent: 80, type: "ratelimit_threshold_reached", usage: 9999}
          mail Immediate: The rate limit is used up to 9999 of 10000 (99%) (ATLAS Atlas)
            {fields: [{"name":"Threshold","value":"80%"},{"name":"Organisation","value":"Acme"},{"name":"Project","value":"Atlas"}], link_url: "/project/workspace/ATLAS", text: null}
            without limit
            without threshold_percent
            without usage
        to endpoints, warning, org ACME, project ATLAS: The rate limit is used up to 9999 of 10000 (99%)
            Threshold: 80%
            Organisation: Acme
            Project: Atlas
            /project/workspace/ATLAS
            {limit: 10000, org_id: "ACME", org_name: "Acme", project_id: "ATLAS", project_name: "Atlas", threshold_percent: 80, usage: 9999, user_id: null}
        "#);
    }

    #[test]
    fn reached() {
        let titles = [(100, 100), (120, 100), (1, 0)].map(|(usage, limit)| {
            let told = planned_without_columns(IT, json!({"usage": usage, "limit": limit}));
            told.lines().next().unwrap_or_default().to_owned()
        });
        insta::assert_snapshot!(titles.join("\n"), @"
        to endpoints, critical: The rate limit is used up to 100 of 100 (100%)
        to endpoints, critical: The rate limit is used up to 120 of 100 (120%)
        to endpoints, critical: The rate limit is used up to 1 of 0
        ");
    }

    #[test]
    fn required_keys() {
        let errors = [
            json!({"limit": 1}),
            json!({"usage": 1}),
            json!({"usage": "all", "limit": 1}),
            json!({"usage": 1, "limit": false}),
        ];
        insta::assert_snapshot!(errors.map(|payload| planned(IT, payload)).join("\n"), @"
        invalid ratelimit_threshold_reached event: payload.usage is required
        invalid ratelimit_threshold_reached event: payload.limit is required
        invalid ratelimit_threshold_reached event: payload.usage must be a number
        invalid ratelimit_threshold_reached event: payload.limit must be a number
        ");
    }
}
