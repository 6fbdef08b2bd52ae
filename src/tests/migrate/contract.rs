//! The columns of the application that the jobs read.

use notify_fan_out::db::contract::{COLUMNS, read_only, types};
use notify_fan_out::seed::{Size, seed};

use crate::harness::{RunCommand as _, TestDatabase, binary_at, database_at};

/// Of the application's tables, the jobs read what the contract names and nothing else.
#[tokio::test]
async fn the_column_contract_is_complete() {
    let db = TestDatabase::new().await;
    let by_owner = database_at(&db.superuser_url());
    seed(&by_owner, Size::Small, false).await.expect("seeded");
    let views = read_only().map(|relation| {
        let columns = COLUMNS.iter().filter(|column| column.relation == relation);
        let columns: Vec<_> = columns.map(|column| column.name).collect();
        format!(
            "CREATE VIEW narrow.{relation} AS SELECT {} FROM public.{relation};",
            columns.join(", ")
        )
    });
    db.execute(format!(
        "CREATE SCHEMA narrow; {}
         ALTER FUNCTION can_view SET search_path = narrow, public, pg_temp;
         ALTER FUNCTION can_view_many SET search_path = narrow, public, pg_temp",
        views.collect::<String>()
    ))
    .await;
    let url = format!(
        "{}&options=-csearch_path%3Dnarrow,public",
        db.superuser_url()
    );
    let prints = |arguments: &[&str]| binary_at(&url).args(arguments).prints();
    prints(&["run", "--dry-run"]);
    let run = prints(&["run"]);
    let counts = "events=16 notifications=24 merged=1 emails=12";
    assert!(run.contains(counts), "{run}");
    for event in db.texts("SELECT id FROM domain_events").await {
        prints(&["explain", &event]);
    }
    prints(&["deliver", "--dry-run"]);
    prints(&["deliver"]);
}

/// The page for adopters lists what the code reads.
#[test]
fn the_column_contract_is_documented() {
    let page = include_str!("../../../docs/adoption.md");
    let rows = COLUMNS.iter().map(|column| {
        let null = if column.nullable { "yes" } else { "no" };
        let added = if column.is_added {
            ", added if missing"
        } else {
            ""
        };
        let (relation, name, kind) = (column.relation, column.name, types(column.kind));
        format!(
            "| `{relation}` | `{name}` | {kind} | {null} | {}{added} |\n",
            column.used_for
        )
    });
    let table: String = rows.collect();
    assert!(
        page.contains(&table),
        "docs/adoption.md needs this table:\n{table}"
    );
}
