//! `status`: how things stand, and what to do where something is wrong.

use std::fmt::Write as _;

use clap::Args;

use super::output::Style;
use super::words::{count, counted, time};
use super::{ExitStatus, Failure, connect, database_failure, output};
use crate::config::{Format, Source};
use crate::upkeep::retry;
use crate::upkeep::status::{
    Backlog, Failed, Holder, HolderKind, PendingEmails, Processing, Status, Table, Vacuum, Window,
    status,
};

/// A backlog older than this makes one ask whether the job runs at all.
const LATE_SECONDS: f64 = 300.0;
/// A transaction older than this is worth a word.
const LONG_SECONDS: f64 = 300.0;
/// So is a replication slot that is this many transactions behind.
const FAR_BEHIND_TRANSACTIONS: i64 = 1_000_000;
/// Dead rows that autovacuum leaves alone anyway.
const FEW_DEAD_ROWS: u64 = 50_000;
/// Types named of a kind of failure.
const MOST_TYPES: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out status
  notify-fan-out status --format json | jq .backlog.due_count
  watch -n 5 notify-fan-out status

It reads one snapshot in a transaction that cannot write, and works on a standby.
It costs the same however long the history is: the tables' figures are estimates.")]
pub(super) struct Arguments {}

pub(super) async fn execute(
    _arguments: Arguments,
    source: &Source<'_>,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let stuck_after = source.stuck_after()?;
    let database = source.database()?;
    let mut session = connect(&database).await?;
    let status = status(&mut session, stuck_after)
        .await
        .map_err(|error| database_failure(&database, error))?;
    match format {
        Format::Json => output::json(&status)?,
        Format::Text => output::text(&in_words(&status, Style::stdout()))?,
    }
    Ok(ExitStatus::Success)
}

fn in_words(status: &Status, style: Style) -> String {
    let mut page = Page {
        words: String::new(),
        style,
    };
    page.backlog(&status.backlog);
    page.processing(&status.processing);
    page.failed(&status.failed);
    page.emails(&status.pending_emails);
    page.window("Last hour", &status.last_hour);
    page.window("Last day", &status.last_day);
    page.vacuum(&status.vacuum);
    page.tables(&status.tables);
    page.words
}

struct Page {
    words: String,
    style: Style,
}

impl Page {
    /// A line under a heading; without one, under the line before.
    fn line(&mut self, heading: &str, text: &str) {
        // Padded first: colours have no width on the screen.
        let heading = self.style.bold(&format!("{heading:<12}"));
        let _ = writeln!(self.words, "{}", format!("{heading}{text}").trim_end());
    }

    /// What to do about the line before.
    fn hint(&mut self, text: &str) {
        let text = self.style.warn(&format!("→ {text}"));
        let _ = writeln!(self.words, "{:<12}{text}", "");
    }

    fn backlog(&mut self, backlog: &Backlog) {
        let style = self.style;
        let late = backlog
            .oldest_due_age_seconds
            .filter(|_| backlog.due_count > 0);
        let due = format!("{} due", count(backlog.due_count));
        match late {
            None => self.line("Backlog", &style.good("nothing is due")),
            Some(age) if age < LATE_SECONDS => {
                self.line("Backlog", &format!("{due}, the oldest {} old", time(age)));
            }
            Some(age) => {
                self.line(
                    "Backlog",
                    &style.warn(&format!("{due}, the oldest {} old", time(age))),
                );
                self.hint("if no run is under way: does cron start notify-fan-out run?");
            }
        }
        if backlog.scheduled_count > 0 {
            let first = backlog
                .next_due_in_seconds
                .map_or_else(String::new, |wait| {
                    format!(", the first for {}", time(wait))
                });
            self.line(
                "",
                &format!("{} for their time{first}", waits(backlog.scheduled_count)),
            );
        }
        if backlog.retrying_count > 0 {
            self.line(
                "",
                &format!(
                    "{} of these {} tried before",
                    count(backlog.retrying_count),
                    if backlog.retrying_count == 1 {
                        "was"
                    } else {
                        "were"
                    }
                ),
            );
        }
        for of_type in &backlog.without_handler {
            let text = format!(
                "{} for a handler of {}, the oldest {} old, given up in {}",
                waits(of_type.count),
                of_type.event_type,
                time(of_type.oldest_age_seconds),
                time(of_type.expires_in_seconds),
            );
            self.line("", &style.warn(&text));
        }
        if !backlog.without_handler.is_empty() {
            self.hint("a newer binary that knows the type takes them up by itself");
        }
    }

    fn processing(&mut self, processing: &Processing) {
        if processing.count == 0 {
            self.line("Processing", "none");
        } else if processing.stuck_count == 0 {
            self.line("Processing", &count(processing.count));
        } else {
            let oldest = processing
                .oldest_stuck_age_seconds
                .map_or_else(String::new, |age| format!(", the oldest for {}", time(age)));
            let stuck = self
                .style
                .bad(&format!("{} stuck{oldest}", count(processing.stuck_count)));
            self.line(
                "Processing",
                &format!("{}, of these {stuck}", count(processing.count)),
            );
            self.hint("their worker is gone; the next notify-fan-out run takes them back");
        }
    }

    fn failed(&mut self, failed: &Failed) {
        let style = self.style;
        if failed.count == 0 {
            self.line("Failed", &style.good("none"));
            return;
        }
        self.line("Failed", &style.bad(&count(failed.count)));
        let width = failed
            .kinds
            .iter()
            .map(|kind| count(kind.count).len())
            .max()
            .unwrap_or(0);
        for kind in &failed.kinds {
            let error = if kind.error.is_empty() {
                "(no reason recorded)"
            } else {
                &kind.error
            };
            self.line("", &format!("{:>width$}  {error}", count(kind.count)));
            let mut types = kind
                .event_types
                .iter()
                .take(MOST_TYPES)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            if kind.event_types.len() > MOST_TYPES {
                let _ = write!(types, " and {} more", kind.event_types.len() - MOST_TYPES);
            }
            let detail = format!(
                "{types}, as event {}; the latest {} ago",
                kind.example_event_id,
                time(kind.latest_age_seconds)
            );
            self.line("", &format!("{:>width$}  {}", "", style.dim(&detail)));
        }
        let hidden = failed.kinds_count.saturating_sub(failed.kinds.len() as u64);
        if hidden > 0 {
            self.line(
                "",
                &style.dim(&format!(
                    "… and {}",
                    counted(hidden, "more kind of error", "more kinds of errors")
                )),
            );
        }
        let example = failed
            .kinds
            .iter()
            .map(|kind| &kind.error)
            .find(|error| retry::says_something(error));
        self.hint(&format!(
            "once mended: notify-fan-out retry {}",
            example.map_or_else(
                || "--help".to_owned(),
                |error| format!("--error {}", shell_quoted(error))
            ),
        ));
    }

    fn emails(&mut self, emails: &PendingEmails) {
        let all = emails.immediate_count + emails.aggregated_count;
        if all == 0 {
            self.line("E-mails", "none wait to be sent");
            return;
        }
        let oldest = emails
            .oldest_age_seconds
            .map_or_else(String::new, |age| format!(", the oldest {} old", time(age)));
        self.line(
            "E-mails",
            &format!(
                "{} to be sent ({} immediate, {} aggregated){oldest}",
                waits(all),
                count(emails.immediate_count),
                count(emails.aggregated_count),
            ),
        );
    }

    fn window(&mut self, heading: &str, window: &Window) {
        if window.completed_count == 0 {
            self.line(heading, "nothing completed");
            return;
        }
        let rate = if window.completed_per_second >= 10.0 {
            format!("{:.0}/s", window.completed_per_second)
        } else {
            format!("{:.1}/min", window.completed_per_second * 60.0)
        };
        let completed = if window.is_capped {
            format!(
                "the latest {} completed took {}, {rate}",
                count(window.completed_count),
                time(window.seconds)
            )
        } else {
            format!("{} completed, {rate}", count(window.completed_count))
        };
        let latency = match (
            window.latency_p50_seconds,
            window.latency_p95_seconds,
            window.latency_p99_seconds,
        ) {
            (Some(p50), Some(p95), Some(p99)) => format!(
                "; latency p50 {}, p95 {}, p99 {}",
                time(p50),
                time(p95),
                time(p99)
            ),
            _ => String::new(),
        };
        self.line(heading, &format!("{completed}{latency}"));
    }

    fn vacuum(&mut self, vacuum: &Vacuum) {
        let style = self.style;
        let hidden = match vacuum.hidden_sessions_count {
            0 => String::new(),
            1 => style.dim(" (1 session hidden from this role)"),
            more => style.dim(&format!(
                " ({} sessions hidden from this role)",
                count(more)
            )),
        };
        let worst = vacuum.held_back_by.iter().find(|holder| {
            holder.age_seconds.map_or(
                holder.age_transactions_count >= FAR_BEHIND_TRANSACTIONS,
                |age| age >= LONG_SECONDS,
            )
        });
        let Some(holder) = worst else {
            let oldest = vacuum
                .held_back_by
                .iter()
                .filter_map(|holder| holder.age_seconds)
                .reduce(f64::max);
            let text = match oldest {
                Some(age) => format!(
                    "not held back for long: the oldest transaction is {} old",
                    time(age)
                ),
                None => "not held back".to_owned(),
            };
            self.line("Vacuum", &format!("{text}{hidden}"));
            return;
        };
        let (what, remedy) = holder_in_words(holder);
        self.line("Vacuum", &format!("{}{hidden}", style.bad(&what)));
        self.hint(&remedy);
    }

    fn tables(&mut self, tables: &[Table]) {
        let style = self.style;
        let width = tables
            .iter()
            .map(|table| table.name.len())
            .max()
            .unwrap_or(0);
        let heading = format!(
            "{:<width$}  {:>13}  {:>11}  last autovacuum",
            "", "rows (about)", "dead"
        );
        self.line("Tables", &style.dim(&heading));
        let mut neglected = Vec::new();
        for table in tables {
            let rows = table
                .estimated_rows_count
                .map_or_else(|| "unknown".to_owned(), count);
            let vacuumed = match (
                table.last_autovacuum_age_seconds,
                table.last_vacuum_age_seconds,
            ) {
                (Some(age), _) => format!("{} ago", time(age)),
                (None, Some(age)) => format!("never; by hand {} ago", time(age)),
                (None, None) => "never".to_owned(),
            };
            let text = format!(
                "{:<width$}  {rows:>13}  {:>11}  {vacuumed}",
                table.name,
                count(table.dead_rows_count)
            );
            // Autovacuum's own threshold, doubled.
            let is_neglected = table.dead_rows_count > FEW_DEAD_ROWS
                && table.dead_rows_count > table.estimated_rows_count.unwrap_or(0) / 5 * 2;
            if is_neglected {
                neglected.push(table.name.as_str());
                self.line("", &style.warn(&text));
            } else {
                self.line("", &text);
            }
        }
        if !neglected.is_empty() {
            self.hint(&format!(
                "autovacuum does not keep up: VACUUM (ANALYZE) {};",
                neglected.join(", ")
            ));
        }
    }
}

fn holder_in_words(holder: &Holder) -> (String, String) {
    let age = holder
        .age_seconds
        .map_or_else(String::new, |age| format!(" for {}", time(age)));
    let behind = counted(
        holder.age_transactions_count.unsigned_abs(),
        "transaction",
        "transactions",
    );
    match holder.kind {
        HolderKind::Session => {
            let pid = holder.pid.unwrap_or_default();
            let state = holder
                .state
                .as_deref()
                .map_or_else(String::new, |state| format!(", {state}"));
            (
                format!("held back{age} by process {pid} ({}{state})", holder.name),
                format!("if it is forgotten, end it: SELECT pg_terminate_backend({pid});"),
            )
        }
        HolderKind::PreparedTransaction => (
            format!("held back{age} by the prepared transaction {}", holder.name),
            format!(
                "COMMIT PREPARED or ROLLBACK PREPARED '{}';",
                holder.name.replace('\'', "''")
            ),
        ),
        HolderKind::ReplicationSlot => {
            let state = holder.state.as_deref().unwrap_or("inactive");
            (
                format!(
                    "held back by the replication slot {} ({state}), {behind} behind",
                    holder.name
                ),
                format!(
                    "bring its subscriber back, or give it up: SELECT pg_drop_replication_slot('{}');",
                    holder.name.replace('\'', "''"),
                ),
            )
        }
    }
}

fn waits(number: u64) -> String {
    format!(
        "{} {}",
        count(number),
        if number == 1 { "waits" } else { "wait" }
    )
}

/// As one word of a shell's command line.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::status::{FailureKind, WithoutHandler};
    use chrono::DateTime;

    fn idle() -> Status {
        let window = Window {
            completed_count: 0,
            is_capped: false,
            seconds: 3_600.0,
            completed_per_second: 0.0,
            latency_p50_seconds: None,
            latency_p95_seconds: None,
            latency_p99_seconds: None,
        };
        Status {
            checked_at: DateTime::UNIX_EPOCH,
            backlog: Backlog {
                due_count: 0,
                oldest_due_age_seconds: None,
                scheduled_count: 0,
                next_due_in_seconds: None,
                retrying_count: 0,
                without_handler_count: 0,
                without_handler: Vec::new(),
                oldest_age_seconds: None,
            },
            processing: Processing {
                count: 0,
                stuck_count: 0,
                oldest_stuck_age_seconds: None,
                stuck_after_seconds: 600.0,
            },
            failed: Failed {
                count: 0,
                kinds_count: 0,
                kinds: Vec::new(),
            },
            pending_emails: PendingEmails {
                immediate_count: 0,
                aggregated_count: 0,
                oldest_age_seconds: None,
            },
            last_hour: window.clone(),
            last_day: window,
            vacuum: Vacuum {
                held_back_by: Vec::new(),
                hidden_sessions_count: 0,
            },
            tables: vec![table("notification_processing", None, 0)],
        }
    }

    fn table(name: &str, rows: Option<u64>, dead: u64) -> Table {
        Table {
            name: name.to_owned(),
            estimated_rows_count: rows,
            dead_rows_count: dead,
            last_autovacuum_at: None,
            last_autovacuum_age_seconds: rows.map(|_| 7_500.0),
            last_vacuum_at: None,
            last_vacuum_age_seconds: None,
        }
    }

    #[test]
    fn an_idle_service_says_so_briefly() {
        insta::assert_snapshot!(in_words(&idle(), Style::plain()), @"
        Backlog     nothing is due
        Processing  none
        Failed      none
        E-mails     none wait to be sent
        Last hour   nothing completed
        Last day    nothing completed
        Vacuum      not held back
        Tables                                rows (about)         dead  last autovacuum
                    notification_processing        unknown            0  never
        ");
    }

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let status = Status {
            backlog: Backlog {
                due_count: 1_204,
                oldest_due_age_seconds: Some(4_242.0),
                scheduled_count: 3,
                next_due_in_seconds: Some(20.4),
                retrying_count: 4,
                without_handler_count: 1,
                without_handler: vec![WithoutHandler {
                    event_type: "invoice_paid".to_owned(),
                    count: 1,
                    oldest_age_seconds: 10_800.0,
                    expires_in_seconds: 75_600.0,
                }],
                oldest_age_seconds: Some(10_800.0),
            },
            processing: Processing {
                count: 500,
                stuck_count: 1,
                oldest_stuck_age_seconds: Some(842.0),
                stuck_after_seconds: 600.0,
            },
            failed: Failed {
                count: 1_017,
                kinds_count: 12,
                kinds: vec![
                    FailureKind {
                        error: "the mailer's connection to … was reset".to_owned(),
                        count: 1_005,
                        event_types: ["a", "b", "c", "d"].map(str::to_owned).into(),
                        example_event_id: 1_042,
                        latest_at: DateTime::UNIX_EPOCH,
                        latest_age_seconds: 192.0,
                    },
                    FailureKind {
                        error: String::new(),
                        count: 12,
                        event_types: vec!["document_uploaded".to_owned()],
                        example_event_id: 1_042,
                        latest_at: DateTime::UNIX_EPOCH,
                        latest_age_seconds: 86_400.0,
                    },
                ],
            },
            pending_emails: PendingEmails {
                immediate_count: 7,
                aggregated_count: 24,
                oldest_age_seconds: Some(302.0),
            },
            last_hour: Window {
                completed_count: 3_210,
                completed_per_second: 3_210.0 / 3_600.0,
                latency_p50_seconds: Some(0.41),
                latency_p95_seconds: Some(12.0),
                latency_p99_seconds: Some(61.5),
                ..idle().last_hour
            },
            last_day: Window {
                completed_count: 500_000,
                is_capped: true,
                seconds: 7_200.0,
                completed_per_second: 500_000.0 / 7_200.0,
                latency_p50_seconds: Some(0.041),
                latency_p95_seconds: Some(1.2),
                latency_p99_seconds: Some(2.0),
            },
            vacuum: Vacuum {
                held_back_by: vec![Holder {
                    kind: HolderKind::Session,
                    name: "psql".to_owned(),
                    pid: Some(4_711),
                    state: Some("idle in transaction".to_owned()),
                    age_seconds: Some(7_500.0),
                    age_transactions_count: 12_345,
                }],
                hidden_sessions_count: 2,
            },
            tables: vec![
                table("domain_events", Some(9_999_999), 12),
                table("notifications", Some(100_000), 60_000),
            ],
            ..idle()
        };
        insta::assert_snapshot!(in_words(&status, Style::plain()), @r"
        Backlog     1,204 due, the oldest 1h 10m old
                    → if no run is under way: does cron start notify-fan-out run?
                    3 wait for their time, the first for 20s
                    4 of these were tried before
                    1 waits for a handler of invoice_paid, the oldest 3h old, given up in 21h
                    → a newer binary that knows the type takes them up by itself
        Processing  500, of these 1 stuck, the oldest for 14m 2s
                    → their worker is gone; the next notify-fan-out run takes them back
        Failed      1,017
                    1,005  the mailer's connection to … was reset
                           a, b, c and 1 more, as event 1042; the latest 3m 12s ago
                       12  (no reason recorded)
                           document_uploaded, as event 1042; the latest 1d ago
                    … and 10 more kinds of errors
                    → once mended: notify-fan-out retry --error 'the mailer'\''s connection to … was reset'
        E-mails     31 wait to be sent (7 immediate, 24 aggregated), the oldest 5m 2s old
        Last hour   3,210 completed, 53.5/min; latency p50 0.4s, p95 12s, p99 1m 2s
        Last day    the latest 500,000 completed took 2h, 69/s; latency p50 41ms, p95 1.2s, p99 2.0s
        Vacuum      held back for 2h 5m by process 4711 (psql, idle in transaction) (2 sessions hidden from this role)
                    → if it is forgotten, end it: SELECT pg_terminate_backend(4711);
        Tables                      rows (about)         dead  last autovacuum
                    domain_events      9,999,999           12  2h 5m ago
                    notifications        100,000       60,000  2h 5m ago
                    → autovacuum does not keep up: VACUUM (ANALYZE) notifications;
        ");
    }

    #[test]
    fn each_kind_of_holder_has_its_remedy() {
        let holder = |kind| Holder {
            kind,
            name: "it's".to_owned(),
            pid: None,
            state: None,
            age_seconds: (kind != HolderKind::ReplicationSlot).then_some(400.0),
            age_transactions_count: 2_000_000,
        };
        let words = [HolderKind::PreparedTransaction, HolderKind::ReplicationSlot].map(|kind| {
            let (what, remedy) = holder_in_words(&holder(kind));
            format!("{what}\n{remedy}")
        });
        insta::assert_snapshot!(words.join("\n"), @"
        held back for 6m 40s by the prepared transaction it's
        COMMIT PREPARED or ROLLBACK PREPARED 'it''s';
        held back by the replication slot it's (inactive), 2,000,000 transactions behind
        bring its subscriber back, or give it up: SELECT pg_drop_replication_slot('it''s');
        ");
    }
}
