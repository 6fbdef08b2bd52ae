//! `preview`: e-mails to look at, made from sample data.

use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::human::aligned;
use super::{Exit, ExitStatus, Failure, output, wiring};
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

pub(super) fn execute(arguments: &Arguments, config: &Config, format: Format) -> Exit {
    let templates = wiring::templates(config, BaseUrl::parse(SAMPLE_APP).ok())?;
    let Some(given) = &arguments.name else {
        return output::done(&List::of(&templates), format);
    };
    let preview = Preview {
        name: known(given, &templates),
        mail: mail(known(given, &templates), &templates, config)?,
        html: arguments.html,
        text: arguments.text,
    };
    let Some(file) = &arguments.output else {
        return output::done(&preview, format);
    };
    let content = match format {
        Format::Json => serde_json::to_string(&preview).map_err(io::Error::from)? + "\n",
        Format::Text => preview.to_string(),
    };
    std::fs::write(file, content).map_err(|error| {
        Failure::Refused(format!("{} can't be written: {error}", file.display()))
    })?;
    Ok(ExitStatus::Success)
}

/// The name of an e-mail, whose event type may be written with dots.
fn known<'a>(given: &'a str, templates: &Templates) -> &'a str {
    if templates.names().iter().any(|name| name == given) {
        return given;
    }
    EventType::from_name(given).map_or(given, |known| known.name())
}

fn mail(name: &str, templates: &Templates, config: &Config) -> Result<RenderedMail, Failure> {
    let scope = match name {
        DIGEST => UnsubscribeScope::All,
        name => name.into(),
    };
    let user_id = samples::recipient_id();
    let unsubscribe_url = wiring::unsubscribe(config)?
        .map(|unsubscribe| unsubscribe.url(&UnsubscribeRequest { user_id, scope }));
    let recipient = samples::recipient(unsubscribe_url.as_deref());
    let mail = templates.preview(name, &recipient, &config.rendering());
    mail.map_err(|error| Failure::Refused(error.to_string()))?
        .ok_or_else(|| {
            let names = templates.names().join(", ");
            Failure::Usage(format!("no e-mail is called {name:?}; there are {names}"))
        })
}

#[derive(Serialize)]
struct Preview<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    #[serde(flatten)]
    mail: RenderedMail,
    /// Only this part.
    #[serde(skip)]
    html: bool,
    /// Only this part.
    #[serde(skip)]
    text: bool,
}

impl Display for Preview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RenderedMail {
            subject,
            html,
            text,
        } = &self.mail;
        if self.html {
            f.write_str(html)
        } else if self.text {
            f.write_str(text)
        } else {
            write!(f, "Subject: {subject}\n\n{text}")
        }
    }
}

#[derive(Serialize)]
struct List {
    mails: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(rename = "type")]
    name: String,
    /// The parts that the folder of the operator has.
    overridden: Vec<&'static str>,
}

impl List {
    fn of(templates: &Templates) -> Self {
        let mails = templates.names().into_iter().map(|name| {
            let overridden = templates.overridden(&name).into_iter();
            let overridden = overridden.map(Part::extension).collect();
            Listed { name, overridden }
        });
        Self {
            mails: mails.collect(),
        }
    }
}

impl Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.mails.iter().map(|Listed { name, overridden }| {
            let what = match name.as_str() {
                DIGEST => Some("several of them at once".to_owned()),
                GENERIC => Some("every other type, and data of another shape".to_owned()),
                _ => None,
            };
            let parts = (!overridden.is_empty())
                .then(|| format!("{} from NOTIFY_TEMPLATES_DIR", overridden.join(", ")));
            let notes: Vec<_> = what.into_iter().chain(parts).collect();
            [name.clone(), notes.join("; ")]
        });
        let lines = aligned(&rows.collect::<Vec<_>>(), 2);
        let mut lines = lines.iter().map(|line| line.trim_end());
        lines.try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_are_listed_with_what_is_overridden() {
        let mails = [
            ("document_uploaded", &["subject", "html"][..]),
            ("digest", &["txt"]),
        ];
        let mails = mails.map(|(name, overridden)| Listed {
            name: name.to_owned(),
            overridden: overridden.to_vec(),
        });
        let list = List {
            mails: mails.into(),
        };
        insta::assert_snapshot!(list, @"
        document_uploaded  subject, html from NOTIFY_TEMPLATES_DIR
        digest             several of them at once; txt from NOTIFY_TEMPLATES_DIR
        ");
    }

    #[test]
    fn a_type_may_be_written_with_dots() {
        let app_url = BaseUrl::parse(SAMPLE_APP).expect("an address");
        let templates = Templates::load(None, app_url, None).expect("templates");
        let known = ["node.launched", "node.lunched"].map(|name| known(name, &templates));
        assert_eq!(known, ["node_launched", "node.lunched"]);
    }
}
