//! Who may see a document: `can_view` is the rule, whoever wrote it, and `can_view_many`, which the
//! job asks, says the same.

use notify_fan_out::fan_out::explain;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::harness::{ACME, ADA, ATLAS, BO, REPORT, TestDatabase, World, id};

/// Every person and document that anything is said of, and some of which nothing is, in pairs.
const PAIRS: &str = "
    SELECT u.id AS user_id, r.id AS resource_id
      FROM (SELECT id FROM profiles UNION SELECT user_id FROM permissions
            UNION SELECT user_id FROM org_members UNION SELECT user_id FROM project_access_grants
            UNION SELECT gen_random_uuid()) AS u
     CROSS JOIN
           (SELECT id FROM resources UNION SELECT resource_id FROM permissions
            UNION SELECT gen_random_uuid()) AS r";

/// In no pair do the two functions differ, nor does the one for many repeat itself.
async fn assert_same(db: &TestDatabase<'_>, what: &str) {
    let differences = db.texts(format!(
        "WITH pair AS MATERIALIZED ({PAIRS}),
         seen AS MATERIALIZED (
            SELECT seen.user_id, seen.resource_id, count(*) AS times
              FROM (SELECT array_agg(user_id) AS u, array_agg(resource_id) AS r FROM pair) AS pairs
             CROSS JOIN LATERAL can_view_many(pairs.u, pairs.r) AS seen
             GROUP BY seen.user_id, seen.resource_id)
         SELECT format('%s %s: %s, and %s times', user_id, resource_id, may, coalesce(times, 0))
           FROM (SELECT *, can_view(user_id, resource_id) AS may FROM pair) AS each
           FULL JOIN seen USING (user_id, resource_id)
          WHERE coalesce(may, false)::int <> coalesce(times, 0)"
    ));
    assert_eq!(differences.await, Vec::<String>::new(), "{what}");
}

/// People with each kind of right or none, on documents in projects and outside of them.
async fn populate(world: &mut World, random: &mut StdRng) {
    let mut people = world.people(30).await;
    // Some are not in the application any more.
    people.extend((0..5).map(|no| id("user", &format!("Gone {no}"))));
    let some = |random: &mut StdRng, at_most: usize| {
        let count = random.random_range(0..=at_most);
        let some: Vec<Uuid> = people.choose_multiple(random, count).copied().collect();
        some
    };
    let mut projects = Vec::new();
    for no in 0..5 {
        let mut staff = some(random, 6);
        let members = staff.split_off(staff.len() / 2);
        let org = world.org(&format!("Org {no}"), staff).await;
        world.members(org, "member", members).await;
        for part in 0..2 {
            let project = world.project(&format!("Project {no}.{part}"), org).await;
            world.grant(project, some(random, 8)).await;
            projects.push((org, project));
        }
    }
    for no in 0..30 {
        let &(org, project) = projects.choose(random).expect("a project");
        let document = world
            .document(&format!("Document {no}"), org, project)
            .await;
        for person in some(random, 6) {
            let permission = ["none", "view", "edit"].choose(random).expect("one");
            world.permission(document, person, permission).await;
        }
    }
    world
        .execute(
            "UPDATE resources SET project_id = NULL WHERE name LIKE '%3';
             -- Of an organisation, or in a project, that is not there.
             UPDATE resources SET org_id = gen_random_uuid() WHERE name LIKE '%4';
             UPDATE resources SET project_id = gen_random_uuid() WHERE name LIKE '%5'",
        )
        .await;
}

#[tokio::test]
async fn many_at_once_are_answered_as_each_alone() {
    let kinds = [
        &format!("({PAIRS}) AS p WHERE can_view(user_id, resource_id)"),
        &format!("({PAIRS}) AS p WHERE NOT can_view(user_id, resource_id)"),
        // May not, in spite of a grant.
        "permissions p JOIN resources r ON r.id = p.resource_id
           JOIN project_access_grants USING (project_id, user_id)
          WHERE permission = 'none'",
        // May as an owner alone.
        "resources r JOIN org_members m ON m.org_id = r.org_id AND role = 'owner'
          WHERE (r.id, m.user_id) NOT IN (SELECT resource_id, user_id FROM permissions)
            AND NOT EXISTS (SELECT FROM project_access_grants g
                             WHERE g.project_id = r.project_id AND g.user_id = m.user_id)",
    ];
    let mut seen = [0; 4];
    for seed in 0..4 {
        let db = TestDatabase::new().await;
        let mut world = db.world().await;
        populate(&mut world, &mut StdRng::seed_from_u64(seed)).await;
        assert_same(&db, &format!("seed {seed}")).await;
        for (seen, kind) in seen.iter_mut().zip(kinds) {
            *seen += db.count(kind).await;
        }
    }
    assert!(!seen.contains(&0), "{seen:?} of {kinds:?}");
}

/// An application's tables may be looser than those that `migrate` makes, a permission may outlive its
/// document, and nobody may be asked for.
#[tokio::test]
async fn looser_tables_are_answered_as_each_alone() {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    populate(&mut world, &mut StdRng::seed_from_u64(7)).await;
    let [ada, bo] = world.users(["Ada", "Bo"]).await;
    for (user, permission) in [(ada, "view"), (bo, "none")] {
        let gone = id("document", "Gone");
        world.permission(gone, user, permission).await;
    }
    db.execute(
        "ALTER TABLE permissions ALTER permission DROP NOT NULL;
         ALTER TABLE resources ALTER org_id DROP NOT NULL;
         UPDATE permissions SET permission = NULL WHERE permission = 'edit';
         UPDATE resources SET org_id = NULL WHERE name LIKE '%6'",
    )
    .await;
    assert_same(&db, "").await;
    for none in ["'{}', '{}'", "NULL, NULL"] {
        assert_eq!(db.count(&format!("can_view_many({none})")).await, 0);
    }
}

/// A document in a project on which Ada and Bo have a grant.
async fn stage() -> (TestDatabase<'static>, World) {
    let db = TestDatabase::new().await;
    let mut world = db.world().await;
    let people = world.users(["Ada", "Bo"]).await;
    world.acme([]).await;
    world.grant(ATLAS, people).await;
    world.document("Report", ACME, ATLAS).await;
    (db, world)
}

/// Uploads the document again, and sees who may view it by `explain`, by a run, and by `explain`
/// of what the run did.
async fn assert_notified(db: &TestDatabase<'_>, world: &mut World, names: &[&str]) {
    let event = world.uploaded(REPORT, ATLAS).await;
    assert_eq!(explained(db, event).await, names);
    assert_eq!(db.run().await.events, 1);
    let notified = format!(
        "SELECT full_name FROM notifications n JOIN profiles p ON p.id = n.user_id
          WHERE event_id = {event} ORDER BY full_name"
    );
    assert_eq!(db.texts(notified).await, names);
    assert_eq!(explained(db, event).await, names);
}

async fn explained(db: &TestDatabase<'_>, event: i64) -> Vec<String> {
    let explanation = explain(&db.database(), event, None, &db.settings()).await;
    let explanation = explanation.expect("explained").expect("an event");
    let mut names: Vec<_> = explanation
        .candidates
        .into_iter()
        .filter(|candidate| candidate.in_app.outcome.starts_with("delivered"))
        .filter_map(|candidate| candidate.name)
        .collect();
    names.sort();
    names
}

/// The application's tables may be views.
#[tokio::test]
async fn views_that_repeat_rows_change_nothing() {
    for table in ["org_members", "project_access_grants", "resources"] {
        let (db, mut world) = stage().await;
        world.permission(REPORT, BO, "edit").await;
        populate(&mut world, &mut StdRng::seed_from_u64(8)).await;
        db.execute(format!(
            "ALTER TABLE {table} RENAME TO own_{table};
             CREATE VIEW {table} AS SELECT * FROM own_{table} UNION ALL SELECT * FROM own_{table};
             GRANT SELECT ON {table} TO notify_fan_out"
        ))
        .await;
        assert_same(&db, table).await;
        assert_notified(&db, &mut world, &["Ada", "Bo"]).await;
    }
}

/// The function for many knows the rule that `migrate` makes by its text.
#[tokio::test]
async fn known_rule_is_the_one_that_migrate_makes() {
    let (db, mut world) = stage().await;
    let known = "SELECT position(quote_literal(md5(one.prosrc)) IN many.prosrc) > 0
                   FROM pg_proc one, pg_proc many
                  WHERE one.oid = 'can_view(uuid, uuid)'::regprocedure
                    AND many.oid = 'can_view_many(uuid[], uuid[])'::regprocedure";
    assert_eq!(db.text(known).await, "true");
    // And does without it, then.
    db.execute("REVOKE ALL ON FUNCTION can_view FROM PUBLIC, notify_fan_out")
        .await;
    assert_notified(&db, &mut world, &["Ada", "Bo"]).await;
}

/// An application's rule, in whatever words and from whenever on, is the one that counts.
#[tokio::test]
async fn rule_of_the_application_counts() {
    let (db, mut world) = stage().await;
    assert_notified(&db, &mut world, &["Ada", "Bo"]).await;
    for (words, notified) in [
        (
            "LANGUAGE sql STABLE AS $$ SELECT p_user_id = 'BO' $$",
            &["Bo"][..],
        ),
        (
            "LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT p_user_id = 'ADA' $$",
            &["Ada"],
        ),
        (
            "LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN RETURN p_user_id <> 'ADA'; END $$",
            &["Bo"],
        ),
        ("LANGUAGE sql AS 'SELECT NULL::boolean'", &[]),
    ] {
        let words = words
            .replace("ADA", &ADA.to_string())
            .replace("BO", &BO.to_string());
        db.execute(format!(
            "CREATE OR REPLACE FUNCTION can_view(p_user_id uuid, p_resource_id uuid) RETURNS boolean {words}"
        ))
        .await;
        assert_notified(&db, &mut world, notified).await;
        assert_same(&db, &words).await;
    }
}

/// The same words mean something else to another reader, or by another search path.
#[tokio::test]
async fn same_words_with_another_meaning_are_another_rule() {
    let (db, mut world) = stage().await;
    db.execute(format!(
        "CREATE SCHEMA vault; GRANT USAGE ON SCHEMA vault TO PUBLIC;
         CREATE TABLE vault.permissions (resource_id uuid, user_id uuid, permission text);
         GRANT SELECT ON vault.permissions TO PUBLIC;
         INSERT INTO vault.permissions VALUES ('{REPORT}', '{BO}', 'none');
         ALTER FUNCTION can_view SET search_path = vault, public"
    ))
    .await;
    assert_notified(&db, &mut world, &["Ada"]).await;
    assert_same(&db, "by another search path").await;

    // Its owner sees what the job doesn't.
    db.execute(format!(
        "ALTER FUNCTION can_view RESET search_path;
         INSERT INTO permissions VALUES ('{REPORT}', '{BO}', 'none');
         ALTER TABLE permissions ENABLE ROW LEVEL SECURITY;
         DROP POLICY IF EXISTS notify_fan_out_select ON permissions"
    ))
    .await;
    assert_notified(&db, &mut world, &["Ada", "Bo"]).await;
    db.execute("ALTER FUNCTION can_view SECURITY DEFINER").await;
    assert_notified(&db, &mut world, &["Ada"]).await;
}
