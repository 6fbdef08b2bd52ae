//! Changes rows page by page, each page in a transaction of its own.

use tokio_util::sync::CancellationToken;

use crate::db::{Access, Session, Transaction};

/// Calls `page` with `start`, then with each cursor that it returns, until it returns none: true; or
/// until `stop` is cancelled: false. The report has what was committed, also after an error.
pub(super) async fn pages<R: Clone, C>(
    session: &mut Session,
    stop: &CancellationToken,
    report: &mut R,
    start: C,
    page: impl AsyncFn(&mut Transaction<'_>, &mut R, C) -> Result<Option<C>, sqlx::Error>,
    progress: &mut dyn FnMut(&R),
) -> Result<bool, sqlx::Error> {
    let mut next = Some(start);
    while let Some(cursor) = next {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let mut with_page = report.clone();
        let mut transaction = session.begin(Access::ReadWrite).await?;
        next = page(&mut transaction, &mut with_page, cursor).await?;
        transaction.commit().await?;
        *report = with_page;
        progress(report);
    }
    Ok(true)
}
