//! Decisions about one event as text, with the rows and rules behind them.

use super::{Candidate, ChannelDecision, RoutedEndpoint};
use crate::domain::plan::{Audience, InApp, Plan};
use crate::fan_out::outcome::{EndpointOutcome, Outcome, PreferenceStatus, Reason};
use crate::fan_out::resolve::Decision;
use crate::fan_out::routed::RoutedRow;

/// A completed event has no row that the current rules would write.
const ABSENT: &str = "no row: pruned, or skipped by the rules at that time";

pub(super) fn routed_endpoint(row: RoutedRow, completed: bool) -> RoutedEndpoint {
    let outcome = row.outcome;
    let (words, rule) = outcome.texts();
    let would_be_there = outcome == EndpointOutcome::Queued || outcome.is_duplicate();
    let text = match row.status {
        Some(status) => status,
        None if completed && would_be_there => ABSENT.to_owned(),
        None => words.to_owned(),
    };
    RoutedEndpoint {
        channel: row.channel,
        recipient: row.recipient,
        name: row.name,
        decision: ChannelDecision {
            outcome: text,
            row_id: row.delivery_id,
            decided_by: match row.user_id {
                _ if row.is_duplicate => "notification_delivery_guards",
                Some(_) if !outcome.is_duplicate() => "the event's channels",
                _ => rule,
            }
            .to_owned(),
        },
    }
}

pub(super) fn candidate(plan: &Plan, row: Decision, completed: bool) -> Candidate {
    let title = match &plan.in_app {
        InApp::None => plan.email.as_ref().map(|email| email.subject.clone()),
        InApp::Each(message) => Some(message.title.clone()),
        InApp::Coalesced { message, .. } => Some(message.title.trim_start().to_owned()),
    };
    Candidate {
        user_id: row.user_id,
        title,
        in_app: in_app(&row, completed),
        email: email(&row, completed),
        name: row.full_name,
    }
}

fn in_app(row: &Decision, completed: bool) -> ChannelDecision {
    let rule = row.in_app_rule.as_deref();
    if let Some(id) = &row.notification_id {
        let read = match row.is_read {
            Some(true) => "read",
            _ => "unread",
        };
        let outcome = match row.notification_count {
            Some(count) if count > 1 => format!("delivered, {read}, counts {count} events"),
            _ => format!("delivered, {read}"),
        };
        return ChannelDecision {
            outcome,
            row_id: Some(id.clone()),
            decided_by: decided_then(rule, row.in_app_status),
        };
    }
    let counted = row.unread_count.unwrap_or_default();
    // One that stands for one event stands for another one.
    let unread = row.unread_id.clone().filter(|_| !completed || counted > 1);
    let outcome = match row.in_app {
        Outcome::Delivered if unread.is_some() => Outcome::Merged,
        other => other,
    };
    ChannelDecision {
        outcome: match outcome {
            Outcome::Merged if completed => {
                format!("merged with later ones; the unread one counts {counted} events")
            }
            Outcome::Merged => format!("merged into an unread one that counts {counted} events"),
            Outcome::Delivered if completed => ABSENT.to_owned(),
            other => other.words().to_owned(),
        },
        row_id: unread.filter(|_| outcome == Outcome::Merged),
        decided_by: decided_by(outcome, rule),
    }
}

fn email(row: &Decision, completed: bool) -> ChannelDecision {
    let rule = row.email_rule.as_deref();
    if let Some(id) = &row.mail_id {
        let timing = match row.mail_delivery.as_deref() {
            Some("aggregated") => Outcome::Aggregated,
            _ => Outcome::Immediate,
        };
        let status = row.mail_status.as_deref().unwrap_or("queued");
        return ChannelDecision {
            outcome: format!("{}, {status}", timing.words()),
            row_id: Some(id.clone()),
            decided_by: decided_then(rule, row.email_status),
        };
    }
    let outcome = match row.email {
        queued if queued.is_mailed() && completed => ABSENT,
        other => other.words(),
    };
    let mut decided_by = decided_by(row.email, rule);
    if let (Outcome::Withheld(Reason::MutedInApp), Some(mute)) = (row.email, &row.in_app_rule) {
        decided_by = format!("preference {mute}; {decided_by}");
    }
    ChannelDecision {
        outcome: outcome.to_owned(),
        row_id: None,
        decided_by,
    }
}

/// What decided about a row that exists. The preferences may have changed since.
fn decided_then(rule: Option<&str>, status: Option<PreferenceStatus>) -> String {
    let now = decided_by(Outcome::Delivered, rule);
    match status {
        Some(PreferenceStatus::Muted) => format!("the rules at that time; now {now}"),
        _ => now,
    }
}

fn decided_by(outcome: Outcome, rule: Option<&str>) -> String {
    match (outcome.reason(), rule) {
        _ if outcome == Outcome::None => "the event type".to_owned(),
        (None | Some(Reason::Muted), Some(rule)) => format!("preference {rule}"),
        (Some(reason), _) => reason.texts().1.to_owned(),
        (None, None) => "default of the event type".to_owned(),
    }
}

pub(super) fn audience(audience: &Audience) -> String {
    match audience {
        Audience::User(user_id) => format!("the person {user_id}"),
        Audience::ProjectOwner {
            user_id,
            project_id,
        } => {
            format!(
                "the person {user_id}, while an owner of the organisation of project {project_id}"
            )
        }
        Audience::ThreadParticipants { thread_id, except } if except.is_empty() => {
            format!("the participants of thread {thread_id}")
        }
        Audience::ThreadParticipants { thread_id, .. } => {
            format!("the participants of thread {thread_id} that are not mentioned")
        }
        Audience::ThreadMentions {
            thread_id,
            user_ids,
        } => {
            format!(
                "{} mentioned, as far as in thread {thread_id}",
                user_ids.len()
            )
        }
        Audience::MeetingParticipants { meeting_id } => {
            format!("the participants of meeting {meeting_id}")
        }
        Audience::ProjectViewers {
            project_id,
            resource_id,
        } => {
            let grantees = project_id.map(|id| format!("those with a grant on project {id}, and "));
            let grantees = grantees.unwrap_or_default();
            match resource_id {
                Some(resource_id) => format!(
                    "{grantees}the owners of the document's organisation, who may view document \
                     {resource_id}"
                ),
                None => format!("{grantees}the owners of its organisation"),
            }
        }
        Audience::OrgOwners { org_id, except } => match except {
            Some(except) => format!("the owners of organisation {org_id} but {except}"),
            None => format!("the owners of organisation {org_id}"),
        },
    }
}
