//! How notifications are written for the application.

use super::{InvalidConfig, Source};
use crate::domain::body::BodyFormat;
use crate::handlers::{Links, Rendering};

impl Source<'_> {
    /// What the application renders, and what its routes are.
    pub fn rendering(&self) -> Result<Rendering, InvalidConfig> {
        let body_format =
            self.parsed(
                "NOTIFY_BODY_FORMAT",
                None,
                BodyFormat::Plain,
                |text| match text.to_ascii_lowercase().as_str() {
                    "plain" => Ok(BodyFormat::Plain),
                    "markdown" => Ok(BodyFormat::Markdown),
                    _ => Err("must be plain or markdown".to_owned()),
                },
            )?;
        let links = Links::read(|variable| self.get(variable));
        Ok(Rendering {
            body_format,
            links: links.map_err(|(variable, problem)| InvalidConfig { variable, problem })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::problem;

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        let problem =
            |variable, value| problem(variable, value, |source| source.rendering().map(drop));
        insta::assert_snapshot!(problem("NOTIFY_BODY_FORMAT", "html"), @r#"NOTIFY_BODY_FORMAT: must be plain or markdown; it is "html""#);
        insta::assert_snapshot!(problem("NOTIFY_LINK_TEAM", "/team/{user}"), @"NOTIFY_LINK_TEAM: it may have {org}, and no other braces");
        assert_eq!(problem("NOTIFY_BODY_FORMAT", "Markdown"), "accepted");
    }
}
