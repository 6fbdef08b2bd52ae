//! The page that the sections write to.

use std::fmt::Write as _;

use crate::cli::output::Style;

pub(super) struct Page {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Page {
    /// A line under a heading; without one, under the line before.
    pub(super) fn line(&mut self, heading: &str, text: &str) {
        // Padded first: colours have no width on the screen.
        let heading = self.style.bold(&format!("{heading:<12}"));
        let _ = writeln!(self.text, "{}", format!("{heading}{text}").trim_end());
    }

    /// What to do about the line before.
    pub(super) fn hint(&mut self, text: &str) {
        let text = self.style.warn(&format!("→ {text}"));
        let _ = writeln!(self.text, "{:<12}{text}", "");
    }
}
