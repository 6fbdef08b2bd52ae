//! `endpoint rotate-key`: encrypts all settings with the first key.

use std::fmt;

use super::{Db, random};
use crate::cli::human::counted;
use crate::cli::{Exit, ExitStatus, output, wiring};
use crate::config::{Config, Format};
use crate::db::Access;
use crate::endpoints::store::{self, KeyRotation};

pub(super) async fn execute(config: &Config, format: Format) -> Exit {
    let encryption = wiring::required_encryption(config)?;
    let mut db = Db::open(config).await?;
    let report = db
        .transact(Access::ReadWrite, async |connection| {
            store::rotate_key(connection, &encryption, &mut random()).await
        })
        .await?;
    output::emit(&report, format)?;
    Ok(if report.unreadable.is_empty() {
        ExitStatus::Success
    } else {
        ExitStatus::Failure
    })
}

impl fmt::Display for KeyRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |number| counted(number, "endpoint", "endpoints");
        match (self.resealed_count, self.unchanged_count) {
            (0, 0) => writeln!(f, "Nothing was encrypted.")?,
            (0, same) => writeln!(
                f,
                "Nothing to do: the settings of {} are already encrypted with the first key.",
                of(same)
            )?,
            (new, same) => writeln!(
                f,
                "Encrypted the settings of {} with the first key; {same} already were.",
                of(new)
            )?,
        }
        if !self.unreadable.is_empty() {
            let names = self.unreadable.join(", ");
            writeln!(
                f,
                "Left as they are, since no key of NOTIFY_SECRET_KEY decrypts them: {names}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_key_decrypts_is_named() {
        let report = KeyRotation {
            unreadable: ["ops", "x"].map(str::to_owned).into(),
            ..KeyRotation::default()
        };
        insta::assert_snapshot!(report, @"
        Nothing was encrypted.
        Left as they are, since no key of NOTIFY_SECRET_KEY decrypts them: ops, x
        ");
    }
}
