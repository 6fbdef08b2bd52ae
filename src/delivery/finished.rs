//! A delivery with a result to be recorded.

use std::time::{Duration, Instant};

use super::leased::Leased;
use super::retry_policy::Decision;
use super::states::Outcome;
use crate::channels::{Receipt, SendError};

#[derive(Debug)]
pub(super) struct Finished {
    pub(super) leased: Leased,
    pub(super) decision: Decision,
    /// `None`: none was made.
    pub(super) attempt: Option<Attempt>,
    /// Its e-mails that were no longer wanted, each with the reason.
    pub(super) left_out: Vec<(i64, &'static str)>,
    /// By this process's clock, slightly early.
    pub(super) lease_ends: Instant,
}

/// One attempt, for the log.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) outcome: Outcome,
    pub(super) duration: Duration,
    pub(super) status: Option<u16>,
    pub(super) answer: Option<String>,
    pub(super) provider_id: Option<String>,
}

impl Attempt {
    pub(super) fn new(duration: Duration, result: &Result<Receipt, SendError>) -> Self {
        let (status, answer, provider_id) = match result {
            Ok(receipt) => (
                Some(receipt.status),
                Some(&receipt.answer),
                receipt.provider_id.clone(),
            ),
            Err(error) => (error.status, error.answer.as_ref(), None),
        };
        Self {
            outcome: Outcome::of(result),
            duration,
            status,
            answer: answer.filter(|answer| !answer.is_empty()).cloned(),
            provider_id,
        }
    }
}

/// Text as PostgreSQL takes it.
pub(super) fn clean(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}
