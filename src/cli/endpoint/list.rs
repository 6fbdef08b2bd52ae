//! `endpoint list`.

use std::fmt::{self, Write as _};

use serde::Serialize;

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
    let endpoints = db
        .transact(Access::ReadOnly, async |connection| {
            let endpoints = store::list(connection).await?;
            let mut all: Vec<_> = endpoints.iter().map(EndpointView::from).collect();
            all.extend(shown_routes(connection, &routes).await?);
            Ok(all)
        })
        .await?;
    output::emit(&List { endpoints }, format)?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct List {
    endpoints: Vec<EndpointView>,
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

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.endpoints.is_empty() {
            return f
                .write_str("There are no endpoints. Add one: notify-fan-out endpoint add --help");
        }
        let style = Style::of(f);
        let heading = ["name", "channel", "target", "scope", "events"].map(str::to_owned);
        let rows: Vec<_> = self.endpoints.iter().map(cells).collect();
        let width = |column: usize| {
            let cells = [&heading].into_iter().chain(&rows).map(|row| &row[column]);
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths = [0, 1, 2, 3, 4].map(width);
        let aligned = |row: &[String; 5]| {
            let cells = row.iter().zip(widths);
            cells.fold(String::new(), |mut line, (cell, width)| {
                let _ = write!(line, "{cell:<width$}  ");
                line
            })
        };
        let heading = format!("{}state", aligned(&heading));
        writeln!(f, "{}", style.dim(&heading))?;
        for (endpoint, row) in self.endpoints.iter().zip(&rows) {
            let state = endpoint.state();
            let state = if endpoint.enabled {
                style.good(&state)
            } else {
                style.warn(&state)
            };
            writeln!(f, "{}{state}", aligned(row))?;
        }
        Ok(())
    }
}

fn cells(endpoint: &EndpointView) -> [String; 5] {
    [
        endpoint.name.clone(),
        endpoint.channel.to_owned(),
        endpoint.target.as_deref().unwrap_or("–").to_owned(),
        endpoint.scope(),
        endpoint.events(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Channel, Destination};
    use crate::endpoints::{Disabled, Endpoint, EndpointScope, Route};
    use uuid::Uuid;

    #[test]
    fn endpoints_are_aligned() {
        let ops = Endpoint {
            id: Uuid::nil(),
            name: "ops".to_owned(),
            scope: EndpointScope::Global,
            channel: Channel::Webhook,
            target: "https://example.com/…".to_owned(),
            event_types: vec!["payment_failed".to_owned(), "tenant_created".to_owned()],
            disabled: None,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let team = Endpoint {
            name: "team-größe".to_owned(),
            scope: EndpointScope::Project(Uuid::from_u128(7)),
            event_types: vec!["*".to_owned()],
            disabled: Some(Disabled {
                reason: Some("manually: moving".to_owned()),
                at: Some(chrono::DateTime::UNIX_EPOCH),
            }),
            ..ops.clone()
        };
        let slack =
            Destination::of(Channel::Slack, "https://hooks.slack.com/x").expect("an address");
        let endpoints = vec![
            EndpointView::from(&ops),
            EndpointView::from(&team),
            EndpointView::route(&Route::on(slack), None),
            EndpointView::route(&Route::off(Channel::Email), None),
        ];
        insta::assert_snapshot!(List { endpoints }.to_string(), @"
        name        channel  target                     scope                                         events                          state
        ops         webhook  https://example.com/…      global                                        payment_failed, tenant_created  on
        team-größe  webhook  https://example.com/…      project 00000000-0000-0000-0000-000000000007  all                             disabled since 1970-01-01 00:00:00 UTC: manually: moving
        env:slack   slack    https://hooks.slack.com/…  global                                        all                             on
        env:email   email    –                          global                                        all                             disabled: by the environment
        ");
        let none = List { endpoints: vec![] };
        insta::assert_snapshot!(none.to_string(), @"There are no endpoints. Add one: notify-fan-out endpoint add --help");
    }
}
