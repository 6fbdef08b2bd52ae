//! Checks whether mutes cover e-mail.

use super::{Finding, Findings};
use crate::db::{Transaction, Unnamed};

/// Whether the application's preference panel knows e-mail.
pub(super) async fn mutes(connection: &mut Transaction<'_>) -> Findings {
    const NAME: &str = "preferences";
    let in_app_only: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM user_notification_preferences
                         WHERE channel = 'in_app' AND status = 'muted')
            AND NOT EXISTS (SELECT FROM user_notification_preferences WHERE channel IN ('email', '*'))",
    )
    .fetch_one(Unnamed(connection))
    .await?;
    Ok(vec![if in_app_only {
        Finding::warn(
            NAME,
            "in_app is muted, and there is no preference for e-mail",
            "if the application's mutes cover e-mail too, set NOTIFY_MUTE_COVERS_EMAIL=true",
        )
    } else {
        Finding::ok(NAME, "no sign of mutes that should cover e-mail")
    }])
}
