//! `endpoint rotate-key`: encrypts all settings with the first key.

use std::fmt::Write as _;

use super::{Db, random};
use crate::cli::human::counted;
use crate::cli::output;
use crate::cli::{ExitStatus, Failure};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::store::{self, KeyRotation};

pub(super) async fn execute(config: &Config, format: Format) -> Result<ExitStatus, Failure> {
    let encryption = crate::cli::wiring::required_encryption(config)?;
    let mut db = Db::open(config).await?;
    let report = db
        .transact(Access::ReadWrite, async |connection| {
            store::rotate_key(connection, &encryption, &mut random()).await
        })
        .await?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Text => output::text(&in_words(&report))?,
    }
    Ok(if report.unreadable.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

fn in_words(report: &KeyRotation) -> String {
    let of = |number| counted(number, "endpoint", "endpoints");
    let mut words = match (report.resealed_count, report.unchanged_count) {
        (0, 0) => "Nothing was encrypted.\n".to_owned(),
        (0, same) => format!(
            "Nothing to do: the settings of {} are encrypted with the first key already.\n",
            of(same)
        ),
        (new, same) => format!(
            "The settings of {} were encrypted with the first key; {same} were already.\n",
            of(new)
        ),
    };
    if !report.unreadable.is_empty() {
        let _ = writeln!(
            words,
            "As they were, since no key of NOTIFY_SECRET_KEY opens them: {}",
            report.unreadable.join(", ")
        );
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_many_and_which_were_not() {
        let report = |resealed_count, unchanged_count, unreadable: &[&str]| KeyRotation {
            resealed_count,
            unchanged_count,
            unreadable: unreadable.iter().map(|name| (*name).to_owned()).collect(),
        };
        insta::assert_snapshot!(in_words(&report(2, 1, &[])), @"The settings of 2 endpoints were encrypted with the first key; 1 were already.");
        insta::assert_snapshot!(in_words(&report(0, 1, &[])), @"Nothing to do: the settings of 1 endpoint are encrypted with the first key already.");
        insta::assert_snapshot!(in_words(&report(0, 0, &["ops", "x"])), @"
        Nothing was encrypted.
        As they were, since no key of NOTIFY_SECRET_KEY opens them: ops, x
        ");
    }
}
