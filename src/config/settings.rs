//! What the jobs take of the configuration.

use secrecy::ExposeSecret as _;

use super::{Config, InvalidConfig};
use crate::channels::Policy;
use crate::db::Database;
use crate::delivery::{DeliverySettings, RetryPolicy};
use crate::domain::secret_keys::SecretKeys;
use crate::endpoints::Encryption;
use crate::fan_out;
use crate::handlers::{Links, Rendering};

impl Config {
    /// The database.
    pub(crate) fn database(&self) -> Result<Database, InvalidConfig> {
        let url = self.database_url.as_ref();
        let url = url.ok_or_else(|| self.no_database())?;
        // A statement that outlives its claim's lease would only be in the way of the rescue.
        Database::new(url, self.stuck_after)
            .map_err(|error| InvalidConfig::new("DATABASE_URL", error.to_string()))
    }

    /// Where notifications of the database arrive, if not by the address of the database itself.
    pub(crate) fn listen_database(&self) -> Result<Option<Database>, InvalidConfig> {
        let url = self.listen_url.as_ref();
        url.map(|url| Database::new(url, self.stuck_after))
            .transpose()
            .map_err(|error| InvalidConfig::new("NOTIFY_LISTEN_URL", error.to_string()))
    }

    fn no_database(&self) -> InvalidConfig {
        let what_to_do = if self.supabase_url.is_some() {
            ". SUPABASE_URL is the address of the HTTP interface; this job needs the connection string \
             of the database: in the Supabase dashboard, press Connect at the top of the project, take \
             the one of the session or transaction pooler (or the direct one), and put it into .env as \
             DATABASE_URL=postgresql://…"
        } else {
            ". Put DATABASE_URL=postgres://user:password@host:5432/database into the environment or \
             .env; or call ./run.sh, which starts a local database without it"
        };
        InvalidConfig::missing("DATABASE_URL", what_to_do)
    }

    /// The settings of `run`.
    pub(crate) fn fan_out(
        &self,
        limit: Option<u64>,
        processor_id: String,
    ) -> Result<fan_out::FanOutSettings, InvalidConfig> {
        Ok(fan_out::FanOutSettings {
            batch_size: self.batch_size,
            max_event_age: self.max_event_age,
            stuck_after: self.stuck_after,
            max_attempts: self.max_attempts,
            max_runtime: self.max_runtime,
            workers: self.workers,
            limit,
            ignored_types: self.ignored_types.clone().unwrap_or_default(),
            processor_id,
            routes: self.routes()?.names(),
            mute_covers_email: self.mute_covers_email,
            rendering: self.rendering(),
        })
    }

    /// The settings of `deliver`.
    pub(crate) fn delivery(&self, limit: Option<u64>, worker_id: String) -> DeliverySettings {
        DeliverySettings {
            concurrency: self.concurrency,
            per_target: self.per_target.min(self.concurrency),
            max_runtime: self.delivery_max_runtime,
            limit,
            digest_every: self.digest_every,
            max_age: self.max_delivery_age,
            mute_covers_email: self.mute_covers_email,
            retry_policy: RetryPolicy {
                patient: self.retry_schedule.clone(),
                eager: self.chat_retry_schedule.clone(),
                hold_uncertain: self.hold_uncertain.clone(),
            },
            worker_id,
        }
    }

    /// How notifications are written for the application.
    pub(crate) fn rendering(&self) -> Rendering {
        Rendering {
            body_format: self.body_format,
            links: Links {
                project: self.link_project.clone(),
                document: self.link_document.clone(),
                document_without_project: self.link_document_without_project.clone(),
                thread: self.link_thread.clone(),
                thread_without_project: self.link_thread_without_project.clone(),
                meetings: self.link_meetings.clone(),
                meetings_without_project: self.link_meetings_without_project.clone(),
                dashboard: self.link_dashboard.clone(),
                team: self.link_team.clone(),
            },
        }
    }

    /// Which addresses a request may go to.
    pub(crate) fn outgoing_policy(&self) -> Policy {
        Policy {
            allowed: self.outgoing_allow.clone().unwrap_or_default(),
            plain_http: self.outgoing_plain_http,
        }
    }

    /// What encrypts the settings of endpoints, if anything does.
    pub(crate) fn encryption(&self) -> Result<Encryption, InvalidConfig> {
        let Some(keys) = &self.secret_key else {
            return Ok(Encryption::default());
        };
        SecretKeys::parse_exact(keys.expose_secret())
            .map(Encryption::new)
            .map_err(|error| InvalidConfig::new("NOTIFY_SECRET_KEY", error.to_string()))
    }
}
