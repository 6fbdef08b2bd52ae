//! Functions and comments: the application's stay as they are, the service's are closed and brought up to date.

use notify_fan_out::db::migrate::MigrateReport;

use super::{APPLICATION, OLDER_JOB, adopt, works};
use crate::harness::{RunCommand as _, Server, TestDatabase};

/// Functions of the application that have the names of ours, or of those that we had, stay as they
/// are, and so do comments.
#[tokio::test]
async fn functions_and_comments_of_the_application_stay() {
    let functions = "SELECT p.oid || pg_get_functiondef(p.oid) || coalesce(obj_description(p.oid), '')
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
         AND proname IN ('get_pending_notification_events', 'enqueue_domain_events', 'close_read_notification', 'can_view', 'can_view_many')
       ORDER BY 1";
    let comments =
        "SELECT concat_ws(' ', objoid::regclass, objsubid, description) FROM pg_description
        WHERE classoid = 'pg_class'::regclass AND description LIKE 'Theirs%' ORDER BY 1";
    for arguments in [
        "p_limit integer",
        "p_limit integer DEFAULT 10, p_type text DEFAULT NULL",
    ] {
        let db = TestDatabase::empty().await;
        db.execute(format!(
            "{APPLICATION}{OLDER_JOB}
             CREATE FUNCTION get_pending_notification_events({arguments})
             RETURNS TABLE (event_id bigint, event_type text, retries int)
             LANGUAGE sql SECURITY DEFINER SET search_path TO public AS $$
                SELECT e.id, e.event_type, 0 FROM domain_events e
                  LEFT JOIN notification_processing p ON p.event_id = e.id WHERE p.event_id IS NULL LIMIT p_limit $$;
             COMMENT ON FUNCTION get_pending_notification_events IS 'Theirs';
             CREATE FUNCTION enqueue_domain_events() RETURNS void LANGUAGE sql AS 'SELECT';
             CREATE FUNCTION close_read_notification() RETURNS void LANGUAGE sql AS 'SELECT';
             CREATE FUNCTION can_view_many(uuid[], uuid[]) RETURNS TABLE (user_id uuid, resource_id uuid)
             LANGUAGE sql AS 'SELECT unnest($1), unnest($2)';
             COMMENT ON TABLE notification_processing IS 'Theirs';
             COMMENT ON COLUMN notification_processing.retry_count IS 'Theirs';
             COMMENT ON COLUMN notifications.event_id IS 'Theirs';
             ALTER TABLE pending_emails ADD status_reason text;
             COMMENT ON COLUMN pending_emails.status_reason IS 'Theirs'"
        ))
        .await;
        let before = [db.texts(functions).await, db.texts(comments).await];
        assert_eq!(before.each_ref().map(Vec::len), [5, 4]);
        db.migrate().await;
        let after = [db.texts(functions).await, db.texts(comments).await];
        assert_eq!(after, before);
        assert_eq!(db.migrate().await, MigrateReport::default());
        works(&db).await;
        db.execute("SELECT FROM notify_fan_out_pending(1)").await;
        db.prints("migrate --check");
    }
}

/// Comments are set on what is made, and on nothing else.
#[tokio::test]
async fn only_what_was_added_gets_comments() {
    let (db, _) = adopt(&format!("{APPLICATION}{OLDER_JOB}")).await;
    let commented = db
        .texts(
            "SELECT attrelid::regclass || '.' || attname FROM pg_description JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
              WHERE classoid = 'pg_class'::regclass AND attrelid IN ('notification_processing'::regclass, 'notifications'::regclass, 'pending_emails'::regclass)
              ORDER BY attrelid::regclass::text, attnum",
        )
        .await;
    insta::assert_snapshot!(commented.join("\n"), @"
    notification_processing.occurred_at
    notification_processing.next_attempt_at
    notification_processing.claim_token
    notification_processing.retried_at
    notification_processing.unhandled_type
    notification_processing.thread_id
    notifications.updated_at
    notifications.coalesce_key
    notifications.coalesce_count
    pending_emails.delivery_id
    pending_emails.has_notification
    pending_emails.status_reason
    ");
}

/// A database that was migrated by the first texts of the migrations goes on, and gets the functions
/// and triggers of this version in the place of those.
#[tokio::test]
async fn earlier_version_is_brought_up_to_date() {
    let (db, _) = adopt(&format!("{APPLICATION}{OLDER_JOB}")).await;
    db.execute(
        "UPDATE notify_fan_out_migrations SET checksum = decode(CASE version
            WHEN 4 THEN 'ba1f18a1b074251604a2837c6c0e9ab445a706688a8940e2823ae8a46b928ad9c9014be601b568823e4b44c1293c94b9'
            ELSE '1c2b3a6fa9a8221e52be2cfef1a40e794e578d268aa0d78d520fec16dd7a70d415cf9cd5023242ebd741850c87050781' END, 'hex')
          WHERE version IN (3, 4);
         CREATE FUNCTION enqueue_domain_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         DROP TRIGGER notify_fan_out_enqueue ON domain_events; DROP FUNCTION notify_fan_out_enqueue, notify_fan_out_pending;
         CREATE TRIGGER notify_fan_out_enqueue AFTER INSERT ON domain_events REFERENCING NEW TABLE AS inserted
            FOR EACH STATEMENT EXECUTE FUNCTION enqueue_domain_events();
         CREATE OR REPLACE FUNCTION get_pending_notification_events(p_limit integer DEFAULT 100)
RETURNS TABLE (event_id bigint, event_type text, occurred_at timestamptz, next_attempt_at timestamptz,
    retry_count integer, error_message text, payload jsonb)
LANGUAGE sql STABLE AS $body$
    SELECT p.event_id, e.event_type::text, coalesce(p.occurred_at, e.occurred_at),
           p.next_attempt_at, p.retry_count, p.error_message, e.payload
      FROM notification_processing p
      JOIN domain_events e ON e.id = p.event_id
     WHERE p.processing_status = 'pending' AND p.next_attempt_at <= now()
     ORDER BY p.next_attempt_at, p.event_id
     LIMIT p_limit
$body$;
         GRANT EXECUTE ON FUNCTION can_view_many TO PUBLIC",
    )
    .await;
    let report = db.migrate().await;
    assert_eq!(report.applied, [""; 0]);
    insta::assert_snapshot!(report.objects.join("\n"), @"
    function can_view_many(uuid[], uuid[])
    function notify_fan_out_enqueue()
    trigger notify_fan_out_enqueue on public.domain_events
    function notify_fan_out_pending(integer)
    function get_pending_notification_events(integer)
    ");
    let former = "pg_proc WHERE proname = 'enqueue_domain_events'";
    assert_eq!(db.count(former).await, 0);
    assert_eq!(db.migrate().await, MigrateReport::default());
    works(&db).await;
    db.execute("UPDATE notify_fan_out_migrations SET checksum = 'x' WHERE version = 3")
        .await;
    db.binary_as_owner().arg("migrate").fails(1);
}

/// What an application may replace is known by its body. Where a body changes, its former sum belongs
/// into the list of earlier ones in src/db/objects.rs, else migrate takes it for the application's.
#[tokio::test]
async fn known_bodies_of_replaceable_functions_are_listed() {
    let db = TestDatabase::new().await;
    let sums = db
        .texts(
            "SELECT proname || ' ' || md5(prosrc) FROM pg_proc
              WHERE proname IN ('can_view', 'can_view_many', 'get_pending_notification_events') ORDER BY 1",
        )
        .await;
    insta::assert_snapshot!(sums.join("\n"), @"
    can_view 352ef822b8befaffc1c77dad305cd4fc
    can_view_many 7176d579dc53fe7984d51d7c3e04b5a2
    get_pending_notification_events f1c8c60a95488e722c8f8e79f578fd9d
    ");
}

/// Nobody may call a function of ours but its owner and whom grants.sql names, also where default
/// privileges open each new one; and each finds its tables on a search path of its own.
#[tokio::test]
async fn functions_are_closed_and_pinned() {
    let server = Server::start();
    let db = TestDatabase::empty_on(&server).await;
    db.execute(
        "CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role;
         ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO anon, authenticated",
    )
    .await;
    db.migrate().await;
    let open = "SELECT proname FROM pg_proc CROSS JOIN aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
         WHERE pronamespace = 'public'::regnamespace AND NOT a.grantee = ANY (ARRAY[proowner, 'notify_fan_out'::regrole])";
    assert_eq!(db.texts(open).await, [""; 0]);
    let unpinned = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND NOT coalesce(array_to_string(proconfig, ' ') LIKE '%search_path=%pg_temp%', false)";
    assert_eq!(db.texts(unpinned).await, [""; 0]);
    let functions = "pg_proc WHERE pronamespace = 'public'::regnamespace";
    assert_eq!(db.count(functions).await, 6);
}
