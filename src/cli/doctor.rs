//! `doctor`

use clap::Args;

use super::{ExitStatus, Failure};
use crate::config::{Format, Source};

#[derive(Debug, Args)]
pub(super) struct Arguments {}

pub(super) async fn execute(
    _arguments: Arguments,
    _source: &Source<'_>,
    _format: Format,
) -> Result<ExitStatus, Failure> {
    Ok(ExitStatus::Success)
}
