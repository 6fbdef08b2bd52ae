//! What people were notified of, in a form to read and to compare: without row identifiers and times,
//! sorted, and with names for the identifiers of people and things.

use serde_json::Value;

use super::TestDatabase;

/// Everything in the application's tables that has a name.
const NAMES: &str = "
    SELECT id::text || ' ' || coalesce(full_name, email) FROM profiles
    UNION ALL SELECT id::text || ' ' || name FROM orgs
    UNION ALL SELECT id::text || ' ' || name FROM projects
    UNION ALL SELECT id::text || ' ' || name FROM resources
    UNION ALL SELECT id::text || ' ' || coalesce(topic, 'thread') FROM chat_threads
    UNION ALL SELECT id::text || ' ' || title FROM meetings";

impl TestDatabase<'_> {
    /// All notifications as JSON objects: user, event (type and, unless merged, identifier), words,
    /// link, payload, read or not, count.
    pub(crate) async fn notifications(&self) -> Vec<Value> {
        self.rows(
            "SELECT jsonb_build_object(
                    'user_id', n.user_id, 'event_type', e.event_type,
                    'event_id', CASE WHEN n.coalesce_key IS NULL THEN n.event_id END,
                    'title', n.title, 'body', n.body, 'link_url', n.link_url, 'payload', n.payload,
                    'read', n.read_at IS NOT NULL, 'count', n.coalesce_count)
               FROM notifications n JOIN domain_events e ON e.id = n.event_id",
        )
        .await
    }

    /// All queued mails as JSON objects.
    pub(crate) async fn emails(&self) -> Vec<Value> {
        self.rows(
            "SELECT to_jsonb(m) - '{id,created_at,processed_at}'::text[] FROM pending_emails m",
        )
        .await
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        let sorted = format!("SELECT r.v::text COLLATE \"C\" FROM ({query}) AS r (v) ORDER BY 1");
        let rows = self.texts(&sorted).await;
        rows.iter().map(|row| row.parse().expect("JSON")).collect()
    }

    /// Who was notified of what, to read. A line a person and channel, details below it:
    ///
    /// ```text
    /// Bo: Ada uploaded Report to Atlas
    ///   **Ada** uploaded **Report** to **Atlas**.
    ///   /project/workspace/Atlas?resourceId=Report
    ///   {"type": "document_uploaded", …}
    /// Bo by mail, aggregated: Ada uploaded Report to Atlas (project Atlas Atlas)
    ///   {…}
    /// ```
    pub(crate) async fn notified(&self) -> String {
        let mut entries: Vec<String> = self
            .texts(
                "SELECT concat_ws(E'\\n  ', n.user_id || ': ' || n.title
                        || CASE WHEN n.read_at IS NULL THEN '' ELSE ' (read)' END,
                        n.body, n.link_url, n.payload)
                   FROM notifications n
                 UNION ALL
                 SELECT concat_ws(E'\\n  ', m.user_id || ' by mail, ' || m.delivery_type || ': ' || m.subject
                        || coalesce(' (project ' || nullif(concat_ws(' ', m.project_id, m.project_name), '') || ')', ''),
                        m.body_data)
                   FROM pending_emails m",
            )
            .await;
        let names = self.texts(NAMES).await;
        for entry in &mut entries {
            for name in &names {
                let (id, name) = name.split_once(' ').expect("an identifier and a name");
                *entry = entry.replace(id, name);
            }
        }
        entries.sort();
        entries.join("\n")
    }

    /// Who was notified of what: the first lines of [`Self::notified`].
    pub(crate) async fn titles(&self) -> String {
        let notified = self.notified().await;
        let titles = notified.lines().filter(|line| !line.starts_with(' '));
        titles.collect::<Vec<_>>().join("\n")
    }
}
