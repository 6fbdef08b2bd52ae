//! Decisions about one event as text, with the rows and rules behind them.

use super::{Candidate, CandidateRow, ChannelDecision, RoutedEndpoint, RoutedRow};
use crate::domain::plan::{Audience, InApp, Plan};
use crate::fan_out::outcome::{EmailOutcome, EndpointOutcome, InAppOutcome, Reason, Rule};
use crate::handlers::EventType;

/// A completed event has no row that the current rules would write.
const ABSENT: &str = "no row: pruned, or skipped by the rules at that time";

pub(super) fn routed_endpoint(row: RoutedRow, completed: bool) -> RoutedEndpoint {
    let outcome = row.outcome;
    let would_be_there = outcome == EndpointOutcome::Queued || outcome.is_duplicate();
    let text = match row.status {
        Some(status) => status,
        None if completed && would_be_there => ABSENT.to_owned(),
        None => outcome.words().to_owned(),
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
                _ => outcome.rule(),
            }
            .to_owned(),
        },
    }
}

pub(super) fn candidate(
    kind: EventType,
    plan: &Plan,
    mut row: CandidateRow,
    completed: bool,
    mute_covers_email: bool,
) -> Candidate {
    let title = match &plan.in_app {
        InApp::None => plan.email.as_ref().map(|email| email.subject.clone()),
        InApp::Each(message) => Some(message.title.clone()),
        InApp::Coalesced { message, .. } => Some(message.title.trim_start().to_owned()),
    };
    if row.is_own_once {
        forget_own_once(plan, &mut row, mute_covers_email);
    }
    let in_app = in_app(kind, &row, completed);
    let email = email(kind, &row, completed);
    Candidate {
        user_id: row.user_id,
        name: row.full_name,
        title,
        in_app,
        email,
    }
}

/// The once-key was used by this event itself: that is no reason to skip it.
fn forget_own_once(plan: &Plan, row: &mut CandidateRow, mute_covers_email: bool) {
    let is_muted = |rule: Option<Rule>| rule.is_some_and(Rule::is_mute);
    if row.in_app == InAppOutcome::Withheld(Reason::NotifiedOnce) {
        row.in_app = match plan.in_app {
            InApp::None => InAppOutcome::None,
            _ if is_muted(row.in_app_rule) => InAppOutcome::Withheld(Reason::Muted),
            _ => InAppOutcome::Delivered,
        };
    }
    if row.email == EmailOutcome::Withheld(Reason::NotifiedOnce) {
        let is_covered = mute_covers_email && row.email_rule.is_none();
        row.email = match plan.email {
            None => EmailOutcome::None,
            Some(_) if is_muted(row.email_rule) => EmailOutcome::Withheld(Reason::Muted),
            Some(_) if is_covered && is_muted(row.in_app_rule) => {
                EmailOutcome::Withheld(Reason::MutedInApp)
            }
            Some(_) => EmailOutcome::Immediate,
        };
    }
}

fn in_app(kind: EventType, row: &CandidateRow, completed: bool) -> ChannelDecision {
    let rule = row.in_app_rule;
    if let Some(id) = &row.notification_id {
        let read = if row.is_read == Some(true) {
            "read"
        } else {
            "unread"
        };
        let outcome = match row.notification_count {
            Some(count) if count > 1 => format!("delivered, {read}, counts {count} events"),
            _ => format!("delivered, {read}"),
        };
        return ChannelDecision {
            outcome,
            row_id: Some(id.clone()),
            decided_by: decided_then(kind, rule, "in_app"),
        };
    }
    let counted = row.unread_count.unwrap_or_default();
    // One that stands for one event stands for another one.
    let unread = row.unread_id.clone().filter(|_| !completed || counted > 1);
    let outcome = match row.in_app {
        InAppOutcome::Delivered if unread.is_some() => InAppOutcome::Merged,
        other => other,
    };
    ChannelDecision {
        outcome: match outcome {
            InAppOutcome::Merged if completed => {
                format!("merged with later ones; the unread one counts {counted} events")
            }
            InAppOutcome::Merged => {
                format!("merged into an unread one that counts {counted} events")
            }
            InAppOutcome::Delivered if completed => ABSENT.to_owned(),
            other => other.words().to_owned(),
        },
        row_id: unread.filter(|_| outcome == InAppOutcome::Merged),
        decided_by: match outcome {
            InAppOutcome::None => "the event type".to_owned(),
            _ => decided_by(kind, outcome.reason(), rule, "in_app"),
        },
    }
}

fn email(kind: EventType, row: &CandidateRow, completed: bool) -> ChannelDecision {
    let rule = row.email_rule;
    if let Some(id) = &row.email_id {
        let timing = match row.email_delivery.as_deref() {
            Some("aggregated") => "digest",
            _ => "immediate",
        };
        return ChannelDecision {
            outcome: format!(
                "{timing}, {}",
                row.email_status.as_deref().unwrap_or("queued")
            ),
            row_id: Some(id.clone()),
            decided_by: decided_then(kind, rule, "email"),
        };
    }
    let outcome = row.email;
    ChannelDecision {
        outcome: if outcome.is_queued() && completed {
            ABSENT
        } else {
            outcome.words()
        }
        .to_owned(),
        row_id: None,
        decided_by: match outcome {
            EmailOutcome::None => "the event type".to_owned(),
            EmailOutcome::Withheld(Reason::MutedInApp) => {
                let mute = decided_by(kind, None, row.in_app_rule, "in_app");
                format!("{mute}; {}", Reason::MutedInApp.rule())
            }
            _ => decided_by(kind, outcome.reason(), rule, "email"),
        },
    }
}

/// What decided about a row that exists. The preferences may have changed since.
fn decided_then(kind: EventType, rule: Option<Rule>, channel: &str) -> String {
    let today = decided_by(kind, None, rule, channel);
    match rule {
        Some(rule) if rule.is_mute() => format!("the rules at that time; now {today}"),
        _ => today,
    }
}

fn decided_by(
    kind: EventType,
    reason: Option<Reason>,
    rule: Option<Rule>,
    channel: &str,
) -> String {
    match (reason, rule) {
        (None | Some(Reason::Muted), Some(rule)) => {
            format!(
                "preference {}",
                rule.text(kind.name(), kind.alias(), channel)
            )
        }
        (Some(reason), _) => reason.rule().to_owned(),
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
