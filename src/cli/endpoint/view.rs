//! What is shown of an endpoint, wherever it comes from.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::endpoints::{Disabled, Endpoint, EndpointScope, Route};

/// Of an endpoint or a route, nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct EndpointView {
    pub(super) name: String,
    pub(super) id: Option<Uuid>,
    pub(super) source: Origin,
    pub(super) channel: &'static str,
    pub(super) target: Option<String>,
    pub(super) scope: &'static str,
    pub(super) scope_id: Option<Uuid>,
    pub(super) event_types: Vec<String>,
    pub(super) enabled: bool,
    pub(super) disabled_reason: Option<String>,
    pub(super) disabled_at: Option<DateTime<Utc>>,
    pub(super) created_at: Option<DateTime<Utc>>,
}

/// Where an endpoint is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    Table,
    Environment,
}

impl From<&Endpoint> for EndpointView {
    fn from(endpoint: &Endpoint) -> Self {
        let disabled = endpoint.disabled.as_ref();
        Self {
            name: endpoint.name.clone(),
            id: Some(endpoint.id),
            source: Origin::Table,
            channel: endpoint.channel.name(),
            target: Some(endpoint.target.clone()),
            scope: endpoint.scope.name(),
            scope_id: endpoint.scope.id(),
            event_types: endpoint.event_types.clone(),
            enabled: disabled.is_none(),
            disabled_reason: disabled.and_then(|disabled| disabled.reason.clone()),
            disabled_at: disabled.and_then(|disabled| disabled.at),
            created_at: Some(endpoint.created_at),
        }
    }
}

impl EndpointView {
    /// A route, and why it is disabled if it is.
    pub(super) fn route(route: &Route, disabled: Option<&Disabled>) -> Self {
        let is_on = route.destination.is_some();
        // What a person did before does not matter while the environment has it off.
        let disabled = disabled.filter(|_| is_on);
        let switched_off = (!is_on).then(|| "by the environment".to_owned());
        Self {
            name: route.name.clone(),
            id: None,
            source: Origin::Environment,
            channel: route.channel.name(),
            target: route.destination.as_ref().map(ToString::to_string),
            scope: EndpointScope::Global.name(),
            scope_id: None,
            event_types: vec!["*".to_owned()],
            enabled: is_on && disabled.is_none(),
            disabled_reason: switched_off
                .or_else(|| disabled.and_then(|disabled| disabled.reason.clone())),
            disabled_at: disabled.and_then(|disabled| disabled.at),
            created_at: None,
        }
    }

    /// Whose events it receives.
    pub(super) fn scope(&self) -> String {
        self.scope_id.map_or_else(
            || self.scope.to_owned(),
            |id| format!("{} {id}", self.scope),
        )
    }

    pub(super) fn events(&self) -> String {
        if self.event_types.iter().any(|event_type| event_type == "*") {
            "all".to_owned()
        } else {
            self.event_types.join(", ")
        }
    }

    /// Whether it is enabled, and else why not.
    pub(super) fn state(&self) -> String {
        if self.enabled {
            return "on".to_owned();
        }
        let since = self
            .disabled_at
            .map(|at| format!(" since {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
        let reason = self.disabled_reason.as_deref().unwrap_or("reason unknown");
        format!("disabled{}: {reason}", since.unwrap_or_default())
    }
}
