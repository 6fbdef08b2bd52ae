//! `endpoint list`.

use std::fmt::Write as _;

use serde_json::json;

use super::Db;
use super::view::EndpointView;
use crate::cli::output::{self, Style};
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::{Access, Transaction};
use crate::endpoints::{Routes, store};

pub(super) async fn execute(config: &Config, format: Format) -> Result<ExitStatus, Failure> {
    let routes = config.routes()?;
    let mut db = Db::open(config).await?;
    let all = db
        .transact(Access::ReadOnly, async |connection| {
            let endpoints = store::list(connection).await?;
            let mut all: Vec<_> = endpoints.iter().map(EndpointView::from).collect();
            all.extend(shown_routes(connection, &routes).await?);
            Ok(all)
        })
        .await?;
    match format {
        Format::Json => output::json(&json!({ "endpoints": all }))?,
        Format::Text => output::text(&in_words(&all, Style::stdout()))?,
    }
    Ok(ExitStatus::Success)
}

/// The routes, with what the database knows of them.
pub(super) async fn shown_routes(
    connection: &mut Transaction<'_>,
    routes: &Routes,
) -> Result<Vec<EndpointView>, sqlx::Error> {
    let names: Vec<_> = routes.iter().map(|route| route.name.clone()).collect();
    let disabled = store::disabled_routes(connection, &names).await?;
    let shown = routes
        .iter()
        .map(|route| EndpointView::route(route, disabled.get(&route.name)));
    Ok(shown.collect())
}

fn in_words(all: &[EndpointView], style: Style) -> String {
    if all.is_empty() {
        return "There is none. Add one: notify-fan-out endpoint add --help".to_owned();
    }
    let heading = ["name", "channel", "target", "scope", "events"].map(str::to_owned);
    let mut rows = vec![heading];
    rows.extend(all.iter().map(|shown| {
        let target = shown.target.as_deref().unwrap_or("–").to_owned();
        [
            shown.name.clone(),
            shown.channel.to_owned(),
            target,
            shown.scope(),
            shown.events(),
        ]
    }));
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut words = String::new();
    let aligned = |row: &[String; 5]| {
        let cells = row.iter().zip(widths);
        cells.fold(String::new(), |mut line, (cell, width)| {
            let _ = write!(line, "{cell:<width$}  ");
            line
        })
    };
    let heading = format!("{}state", aligned(&rows[0]));
    let _ = writeln!(words, "{}", style.dim(&heading));
    for (shown, row) in all.iter().zip(&rows[1..]) {
        let state = shown.state();
        let state = if shown.enabled {
            style.good(&state)
        } else {
            style.warn(&state)
        };
        let _ = writeln!(words, "{}{state}", aligned(row));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Channel, Destination};
    use crate::endpoints::{Disabled, Endpoint, Route, Scope};
    use uuid::Uuid;

    #[test]
    fn endpoints_are_aligned() {
        let ops = Endpoint {
            id: Uuid::nil(),
            name: "ops".to_owned(),
            scope: Scope::Global,
            channel: Channel::Webhook,
            target: "https://example.com/…".to_owned(),
            event_types: vec!["payment_failed".to_owned(), "tenant_created".to_owned()],
            disabled: None,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let team = Endpoint {
            name: "team-größe".to_owned(),
            scope: Scope::Project(Uuid::from_u128(7)),
            event_types: vec!["*".to_owned()],
            disabled: Some(Disabled {
                reason: Some("by hand: moving".to_owned()),
                at: Some(chrono::DateTime::UNIX_EPOCH),
            }),
            ..ops.clone()
        };
        let slack =
            Destination::of(Channel::Slack, "https://hooks.slack.com/x").expect("an address");
        let all = [
            EndpointView::from(&ops),
            EndpointView::from(&team),
            EndpointView::route(&Route::on(slack), None),
            EndpointView::route(&Route::off(Channel::Email), None),
        ];
        insta::assert_snapshot!(in_words(&all, Style::plain()), @"
        name        channel  target                     scope                                         events                          state
        ops         webhook  https://example.com/…      global                                        payment_failed, tenant_created  on
        team-größe  webhook  https://example.com/…      project 00000000-0000-0000-0000-000000000007  all                             disabled since 1970-01-01 00:00:00 UTC: by hand: moving
        env:slack   slack    https://hooks.slack.com/…  global                                        all                             on
        env:email   email    –                          global                                        all                             disabled: by the environment
        ");
        insta::assert_snapshot!(in_words(&[], Style::plain()), @"There is none. Add one: notify-fan-out endpoint add --help");
    }
}
