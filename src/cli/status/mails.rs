//! Mails that wait to be sent.

use super::page::Page;
use super::waits;
use crate::cli::human::{count, time};
use crate::ops::status::PendingEmails;

impl Page {
    pub(super) fn emails(&mut self, emails: &PendingEmails) {
        let all = emails.immediate_count + emails.aggregated_count;
        if all == 0 {
            self.line("E-mails", "none wait to be sent");
            return;
        }
        let oldest = emails
            .oldest_age_seconds
            .map_or_else(String::new, |age| format!(", the oldest {} old", time(age)));
        self.line(
            "E-mails",
            &format!(
                "{} to be sent ({} immediate, {} aggregated){oldest}",
                waits(all),
                count(emails.immediate_count),
                count(emails.aggregated_count),
            ),
        );
    }
}
