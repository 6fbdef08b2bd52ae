//! `preview`: e-mails to look at, made from sample data.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::{ExitStatus, Failure, output, wiring};
use crate::config::{Config, Format};
use crate::domain::base_url::BaseUrl;
use crate::handlers::EventType;
use crate::templates::{DIGEST, GENERIC, Part, RenderedMail, Templates, samples};
use crate::unsubscribe::{UnsubscribeRequest, UnsubscribeScope};

/// Stands for the application where none is configured.
const SAMPLE_APP: &str = "https://app.example.com";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  notify-fan-out preview                                   which e-mails there are
  notify-fan-out preview document_uploaded                 its subject and plain text
  notify-fan-out preview digest --html --output mail.html  then open it in a browser

It needs no database. It takes the templates that e-mails are sent with, those of
NOTIFY_TEMPLATES_DIR included, and links to APP_BASE_URL, or to
https://app.example.com where that is not set. Where unsubscribing is configured,
the e-mail has an unsubscribe address, of a person that does not exist.")]
pub(super) struct Arguments {
    /// The e-mail: an event type, digest or generic [default: list them]
    #[arg(value_name = "TYPE")]
    name: Option<String>,
    /// Only the HTML part
    #[arg(long, conflicts_with = "text", requires = "name")]
    html: bool,
    /// Only the plain text part
    #[arg(long, requires = "name")]
    text: bool,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE", requires = "name")]
    output: Option<PathBuf>,
}

pub(super) fn execute(
    arguments: &Arguments,
    config: &Config,
    format: Format,
) -> Result<ExitStatus, Failure> {
    let templates = wiring::templates(config, BaseUrl::parse(SAMPLE_APP).ok())?;
    let Some(given) = &arguments.name else {
        list(&templates, format)?;
        return Ok(ExitStatus::Success);
    };
    let name = known(given, &templates);
    let unsubscribe_url = wiring::unsubscribe(config)?.map(|unsubscribe| {
        unsubscribe.url(&UnsubscribeRequest {
            user_id: samples::recipient_id(),
            scope: if name == DIGEST {
                UnsubscribeScope::All
            } else {
                name.into()
            },
        })
    });
    let mail = templates
        .preview(
            name,
            &samples::recipient(unsubscribe_url.as_deref()),
            &config.rendering(),
        )
        .map_err(|error| Failure::Refused(error.to_string()))?
        .ok_or_else(|| {
            Failure::Usage(format!(
                "no e-mail is called {name:?}; there are {}",
                templates.names().join(", ")
            ))
        })?;
    let content = content(arguments, &mail, name, format)?;
    match &arguments.output {
        Some(file) => std::fs::write(file, content).map_err(|error| {
            Failure::Refused(format!("{} can't be written: {error}", file.display()))
        })?,
        None => output::text(&content)?,
    }
    Ok(ExitStatus::Success)
}

/// The name of an e-mail, whose event type may be written with dots.
fn known<'a>(given: &'a str, templates: &Templates) -> &'a str {
    if templates.names().iter().any(|name| name == given) {
        return given;
    }
    EventType::from_name(given).map_or(given, |known| known.name())
}

fn content(
    arguments: &Arguments,
    mail: &RenderedMail,
    name: &str,
    format: Format,
) -> std::io::Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        r#type: &'a str,
        #[serde(flatten)]
        mail: &'a RenderedMail,
    }
    Ok(match format {
        Format::Json => {
            let mut document = serde_json::to_string(&Document { r#type: name, mail })?;
            document.push('\n');
            document
        }
        Format::Text if arguments.html => mail.html.clone(),
        Format::Text if arguments.text => mail.text.clone(),
        Format::Text => format!("Subject: {}\n\n{}", mail.subject, mail.text),
    })
}

fn list(templates: &Templates, format: Format) -> std::io::Result<()> {
    let names = templates.names();
    let mails: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), templates.overridden(name)))
        .collect();
    match format {
        Format::Json => {
            let mails: Vec<_> = mails
                .iter()
                .map(|(name, parts)| json!({ "type": name, "overridden": extensions(parts) }))
                .collect();
            output::json(&json!({ "mails": mails }))
        }
        Format::Text => output::text(&summary(&mails)),
    }
}

fn extensions(parts: &[Part]) -> Vec<&'static str> {
    parts.iter().map(|part| part.extension()).collect()
}

fn summary(mails: &[(&str, Vec<Part>)]) -> String {
    let width = mails.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut words = String::new();
    for (name, parts) in mails {
        let mut notes = Vec::new();
        match *name {
            DIGEST => notes.push("several of them at once".to_owned()),
            GENERIC => notes.push("every other type, and data of another shape".to_owned()),
            _ => {}
        }
        if !parts.is_empty() {
            let parts = extensions(parts).join(", ");
            notes.push(format!("{parts} from NOTIFY_TEMPLATES_DIR"));
        }
        let line = format!("{name:<width$}  {}", notes.join("; "));
        let _ = writeln!(words, "{}", line.trim_end());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_listed_with_what_is_overridden() {
        let mails = [
            ("document_uploaded", vec![Part::Subject, Part::Html]),
            ("invite_accepted", vec![]),
            ("digest", vec![Part::Text]),
            ("generic", vec![]),
        ];
        insta::assert_snapshot!(summary(&mails), @"
        document_uploaded  subject, html from NOTIFY_TEMPLATES_DIR
        invite_accepted
        digest             several of them at once; txt from NOTIFY_TEMPLATES_DIR
        generic            every other type, and data of another shape
        ");
    }

    #[test]
    fn a_type_may_be_written_with_dots() {
        let app_url = BaseUrl::parse(SAMPLE_APP).expect("an address");
        let templates = Templates::load(None, app_url, None).expect("templates");
        let names = ["node.launched", "node_launched", "digest", "node.lunched"];
        let known = names.map(|name| known(name, &templates));
        assert_eq!(
            known,
            ["node_launched", "node_launched", "digest", "node.lunched"]
        );
    }
}
