//! Whether mutes reach e-mail.

use super::{Check, Findings};
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
        Check::warn(
            NAME,
            "there are mutes of in_app, and not one preference for e-mail",
            "if the application's preference panel means e-mail too, set NOTIFY_MUTE_COVERS_EMAIL=true",
        )
    } else {
        Check::ok(NAME, "no sign of mutes that should cover e-mail")
    }])
}
